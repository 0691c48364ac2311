package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
)

// front is the side towards the clients: it can stop to listen, listen again, and end what is connected.
type front struct {
	address string
	accept  func(net.Listener) error // serves what it accepts, until the listener is closed
	issuer  *issuer                  // nil: no TLS

	mutex    sync.Mutex
	listener net.Listener // nil while it refuses
	conns    map[net.Conn]bool
}

func newFront(port int) *front {
	return &front{address: fmt.Sprintf("127.0.0.1:%d", port), conns: map[net.Conn]bool{}}
}

// serveHTTP makes it a server of HTTP; with an issuer, of TLS and HTTP/2.
func (f *front) serveHTTP(handler http.Handler, issuer *issuer) {
	server := &http.Server{Handler: handler, ConnState: f.track}
	f.accept = server.Serve
	if issuer == nil {
		return
	}
	f.issuer = issuer
	// Without tickets each new connection sees the certificate of that moment.
	server.TLSConfig = &tls.Config{SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return issuer.current.Load(), nil }}
	f.accept = func(listener net.Listener) error { return server.ServeTLS(listener, "", "") }
}

func (f *front) track(conn net.Conn, state http.ConnState) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	switch state {
	case http.StateNew:
		if f.listener == nil { // accepted just before we stopped to listen
			reset(conn)
			return
		}
		f.conns[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(f.conns, conn)
	}
}

// open listens, unless it does already.
func (f *front) open() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return err
	}
	f.listener = listener
	go f.serve(listener)
	return nil
}

func (f *front) serve(listener net.Listener) {
	if err := f.accept(listener); !errors.Is(err, net.ErrClosed) {
		log.Fatal(err)
	}
}

// refuse resets all connections and listens no more until open.
func (f *front) refuse() {
	f.mutex.Lock()
	if f.listener != nil {
		f.listener.Close()
		f.listener = nil
	}
	f.mutex.Unlock()
	f.endConns()
}

// endConns resets all connections there are.
func (f *front) endConns() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for conn := range f.conns {
		reset(conn)
	}
}

// reset closes below TLS, with linger 0: the client sees a reset, as of a host that died.
func reset(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
