// Artifact is a tool for artifacts on top of oras-go, as programs are that
// people write with it:
//
//	artifact version
//	artifact login HOST USER        with the password on standard input
//	artifact logout HOST
//	artifact push LAYOUT REF        an OCI image layout's latest
//	artifact pull REF LAYOUT
//	artifact attach REF TYPE        what is on standard input, to REF
//	artifact referrers REF
//	artifact delete REF
//
// Credentials are kept where Docker keeps them.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

const latest = "latest"

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, command string, arguments []string) error {
	do, ok := map[string]func(ctx context.Context, arguments []string) error{
		"version": version, "login": login, "logout": logout, "push": push, "pull": pull,
		"attach": attach, "referrers": referrers, "delete": remove,
	}[command]
	if !ok {
		return fmt.Errorf("there is no command %q", command)
	}
	return do(ctx, arguments)
}

func version(context.Context, []string) error {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.HasPrefix(module.Path, "oras.land/oras-go/") {
			fmt.Println(module.Version)
		}
	}
	return nil
}

func login(ctx context.Context, arguments []string) error {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{AllowPlaintextPut: true})
	if err != nil {
		return err
	}
	password, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	registry, err := remote.NewRegistry(arguments[0])
	if err != nil {
		return err
	}
	return credentials.Login(ctx, store, registry, auth.Credential{Username: arguments[1], Password: string(password)})
}

func logout(ctx context.Context, arguments []string) error {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return err
	}
	return credentials.Logout(ctx, store, arguments[0])
}

// open is the repository of a reference.
func open(ref string) (*remote.Repository, error) {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	repository, err := remote.NewRepository(ref)
	if err != nil {
		return nil, err
	}
	repository.Client = &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	return repository, nil
}

func push(ctx context.Context, arguments []string) error {
	layout, err := oci.New(arguments[0])
	if err != nil {
		return err
	}
	to, err := open(arguments[1])
	if err != nil {
		return err
	}
	_, err = oras.Copy(ctx, layout, latest, to, to.Reference.Reference, oras.DefaultCopyOptions)
	return err
}

func pull(ctx context.Context, arguments []string) error {
	from, err := open(arguments[0])
	if err != nil {
		return err
	}
	layout, err := oci.New(arguments[1])
	if err != nil {
		return err
	}
	_, err = oras.Copy(ctx, from, from.Reference.Reference, layout, latest, oras.DefaultCopyOptions)
	return err
}

func attach(ctx context.Context, arguments []string) error {
	to, err := open(arguments[0])
	if err != nil {
		return err
	}
	subject, err := to.Resolve(ctx, to.Reference.Reference)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	file, err := oras.PushBytes(ctx, to, "application/octet-stream", content)
	if err != nil {
		return err
	}
	_, err = oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, arguments[1], oras.PackManifestOptions{
		Subject: &subject, Layers: []ocispec.Descriptor{file},
	})
	return err
}

func referrers(ctx context.Context, arguments []string) error {
	from, err := open(arguments[0])
	if err != nil {
		return err
	}
	subject, err := from.Resolve(ctx, from.Reference.Reference)
	if err != nil {
		return err
	}
	return from.Referrers(ctx, subject, "", func(all []ocispec.Descriptor) error {
		for _, one := range all {
			fmt.Println(one.ArtifactType, one.Digest)
		}
		return nil
	})
}

func remove(ctx context.Context, arguments []string) error {
	from, err := open(arguments[0])
	if err != nil {
		return err
	}
	manifest, err := from.Resolve(ctx, from.Reference.Reference)
	if err != nil {
		return err
	}
	return from.Delete(ctx, manifest)
}
