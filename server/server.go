package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/certificate"
	"opendev.org/zuul/zuul-registry/server/config"
)

// A server that is told to end finishes what it can in drain, and then cuts off
// what is left, which has the grace to keep what arrived.
const (
	drain = 4 * time.Second
	grace = 500 * time.Millisecond
)

// server is an http.Server that knows when its last handler has returned.
type server struct {
	http   http.Server
	tls    bool
	log    *slog.Logger
	active sync.WaitGroup // requests
}

func newServer(c config.Config, log *slog.Logger, handler http.Handler) (*server, error) {
	s := &server{tls: c.TLS, log: log}
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.active.Add(1)
			defer s.active.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout:            time.Minute,
		DisableGeneralOptionsHandler: true, // which would answer past ours
		IdleTimeout:                  2 * time.Minute,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug), // handshakes of scanners, mostly
		// Go's HTTP/2 costs about twice the processor time of HTTP/1.1 on
		// pulls, and clients open several connections anyway.
		Protocols: new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	if !c.TLS {
		return s, nil
	}
	files := certificate.Files{Certificate: c.TLSCert, Key: c.TLSKey}
	made, err := certificate.Ensure(files, c.TLSHosts)
	if err != nil {
		return nil, wrong("TLS_CERT", c.TLSCert, err)
	}
	if made {
		log.Info("certificate made, self-signed", "path", c.TLSCert, "hosts", c.TLSHosts)
	}
	current, err := certificate.Load(files, c.TLSHosts, log)
	if err != nil {
		return nil, wrong("TLS_CERT", c.TLSCert, err)
	}
	s.http.TLSConfig = &tls.Config{GetCertificate: current, MinVersion: tls.VersionTLS12}
	return s, nil
}

// run serves until ctx is done, and ends within drain and grace.
func (s *server) run(ctx context.Context, l net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if s.tls {
			ended <- s.http.ServeTLS(l, "", "")
		} else {
			ended <- s.http.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.log.Info("stopping", "drain", drain)
	limited, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := s.http.Shutdown(limited); err != nil {
		s.log.Warn("requests are cut off", "error", err)
		err = s.http.Close()
		s.settle()
		return err
	}
	return nil
}

// settle waits, but not for long, for the handlers of requests that were cut off.
func (s *server) settle() {
	settled := make(chan struct{})
	go func() { s.active.Wait(); close(settled) }()
	select {
	case <-settled:
	case <-time.After(grace):
	}
}
