// Hello is the program of the small images. It says where it is from, which
// is a file beside it, or from scratch if there is nothing else, and what is in
// the files beside it.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
)

func main() {
	from, err := os.ReadFile("/from")
	if err != nil {
		from = []byte("scratch")
	}
	fmt.Printf("Hello from %s!", from)
	if err := content(); err != nil {
		log.Fatal(err)
	}
	fmt.Println()
}

// content says how many files there are, and the digest of them all.
func content() error {
	files, err := filepath.Glob("/content/*") // sorted
	if err != nil || len(files) == 0 {
		return err
	}
	sum := sha256.New()
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := io.Copy(sum, file); err != nil {
			return err
		}
	}
	fmt.Printf(" In %d files: %x", len(files), sum.Sum(nil))
	return nil
}
