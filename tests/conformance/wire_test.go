package conformance

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// wire is a connection on which a test writes the bytes of a request itself,
// where net/http would not send what the test is about.
type wire struct {
	t      *testing.T
	server *server
	tcp    *net.TCPConn
	tls    *tls.Conn
	reader *bufio.Reader
}

// dial connects, and gives up on a server that does not answer.
func (s *server) dial(t *testing.T) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	tcp := conn.(*net.TCPConn)
	secure := tls.Client(tcp, &tls.Config{RootCAs: s.trust, ServerName: "127.0.0.1"})
	t.Cleanup(func() { _ = secure.Close() })
	if err := secure.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, server: s, tcp: tcp, tls: secure, reader: bufio.NewReader(secure)}
}

// begin writes a request line and its headers, with the writer's credentials.
func (w *wire) begin(method, target string, headers ...string) *wire {
	w.t.Helper()
	lines := append([]string{
		method + " " + target + " HTTP/1.1",
		"Host: " + w.server.address,
		"Authorization: " + string(asWriter()),
	}, headers...)
	return w.write([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))
}

// write sends bytes as they are.
func (w *wire) write(content []byte) *wire {
	w.t.Helper()
	if _, err := w.tls.Write(content); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// answer reads the answer to a request of that method.
func (w *wire) answer(method, target string) *answer {
	w.t.Helper()
	asked := &http.Request{Method: method, Host: w.server.address, URL: &url.URL{
		Scheme: "https", Host: w.server.address, Opaque: target,
	}}
	response, err := http.ReadResponse(w.reader, asked)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	a, err := readAnswer(w.t, w.server, response)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// awaitContinue waits until the server has said that it reads the body, which
// a request with "Expect: 100-continue" asks for.
func (w *wire) awaitContinue() *wire {
	w.t.Helper()
	line, err := w.reader.ReadString('\n')
	if err != nil || !strings.Contains(line, " 100 ") {
		w.t.Fatalf("the server said %q, %v; want 100 Continue", line, err)
	}
	if _, err := w.reader.ReadString('\n'); err != nil { // the empty line after
		w.t.Fatal(err)
	}
	return w
}

// hangUp ends what the client has to say, in the middle of a body, and returns
// when the server has done with the request. It need not answer a client that
// may be gone, but if it does, it does not call that its own fault.
func (w *wire) hangUp(method, target string) {
	w.t.Helper()
	err := w.tls.CloseWrite() // fails when the server has refused the request before
	if _, err2 := w.reader.Peek(1); err2 == nil {
		if a := w.answer(method, target); a.status/100 != 4 {
			w.t.Errorf("%s: %s, want a refusal of half a body", a.request, a.summary())
		}
	}
	if _, err2 := io.Copy(io.Discard, w.reader); err2 != nil {
		err = errors.Join(err, err2)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatal("the server goes on waiting for a client that has hung up")
	}
}

// vanish breaks the connection as a client does that is killed.
func (w *wire) vanish() {
	w.t.Helper()
	if err := w.tcp.SetLinger(0); err != nil {
		w.t.Fatal(err)
	}
	if err := w.tcp.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// length is the header that announces n bytes.
func length(n int) string { return fmt.Sprintf("Content-Length: %d", n) }
