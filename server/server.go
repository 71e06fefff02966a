package main

import (
	"context"
	"crypto/tls"
	"errors"
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

// server answers at one door or more, and knows when the last handler of all has
// returned.
type server struct {
	tls    *tls.Config // nil: plain HTTP
	log    *slog.Logger
	doors  []*door
	active sync.WaitGroup // requests
}

// door is a listener, and what answers there.
type door struct {
	listener net.Listener
	http     http.Server
}

// newServer makes a server without doors.
func newServer(c config.Config, log *slog.Logger) (*server, error) {
	s := &server{log: log}
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
	s.tls = &tls.Config{GetCertificate: current, MinVersion: tls.VersionTLS12}
	return s, nil
}

// open adds a door, before run; without secure it speaks plain HTTP.
func (s *server) open(l net.Listener, handler http.Handler, secure *tls.Config) {
	d := &door{listener: l}
	d.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.active.Add(1)
			defer s.active.Done()
			handler.ServeHTTP(w, r)
		}),
		TLSConfig:                    secure.Clone(), // http.Server may change it
		ReadHeaderTimeout:            time.Minute,
		MaxHeaderBytes:               64 << 10, // tokens for many repositories are long
		DisableGeneralOptionsHandler: true,     // which would answer past ours
		IdleTimeout:                  2 * time.Minute,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // handshakes of scanners, mostly
		// Go's HTTP/2 costs about twice the processor time of HTTP/1.1 on
		// pulls, and clients open several connections anyway.
		Protocols: new(http.Protocols),
	}
	d.http.Protocols.SetHTTP1(true)
	s.doors = append(s.doors, d)
}

// run serves until ctx is done or a listener fails, and ends within drain and
// grace.
func (s *server) run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- s.stop()
	}()
	err := s.atAllDoors(func(d *door) error {
		defer end() // at the other doors as well
		return d.serve()
	})
	return errors.Join(err, <-stopped)
}

// serve returns nil when the door is shut.
func (d *door) serve() error {
	var err error
	if d.http.TLSConfig != nil {
		err = d.http.ServeTLS(d.listener, "", "")
	} else {
		err = d.http.Serve(d.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// stop lets requests finish, and cuts off those that take too long.
func (s *server) stop() error {
	s.log.Info("stopping", "drain", drain)
	limited, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := s.atAllDoors(func(d *door) error { return d.http.Shutdown(limited) })
	if err == nil {
		return nil
	}
	s.log.Warn("requests are cut off", "error", err)
	err = s.atAllDoors(func(d *door) error { return d.http.Close() })
	s.settle()
	return err
}

// atAllDoors does something at all doors at once, and waits until it is done.
func (s *server) atAllDoors(do func(*door) error) error {
	errs := make([]error, len(s.doors))
	var doing sync.WaitGroup
	for i, d := range s.doors {
		doing.Go(func() { errs[i] = do(d) })
	}
	doing.Wait()
	return errors.Join(errs...)
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
