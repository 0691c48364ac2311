// Command faults is a proxy before a server of the bed that does to requests and their answers what rules say.
//
//	faults -listen PORT -control PORT -target http[s]://127.0.0.1:PORT [-pki DIR]
//	faults -listen PORT -control PORT -target amqp://127.0.0.1:PORT
//
// Before an https target it speaks TLS and HTTP/2 itself, with a certificate of the bed's CA. A request with an
// Authorization header goes on as it came; one without goes on with the admin's client certificate.
// README.md of the bed describes the rules; control.go the commands.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
)

func main() {
	listen := flag.Int("listen", 0, "port to listen on")
	control := flag.Int("control", 0, "port for commands")
	target := flag.String("target", "", "server behind it")
	pki := flag.String("pki", "", "folder with ca.crt, ca.key, admin.crt, admin.key")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(*listen, *control, *target, *pki); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(listen, control int, target, pki string) error {
	server, err := url.Parse(target)
	if err != nil {
		return err
	}
	front := newFront(listen)
	rules := newRules(httpStages)
	if server.Scheme == "amqp" {
		rules = newRules(amqpStages)
		front.accept = (&amqp{rules: rules, front: front, target: server.Host}).accept
	} else if err = serveHTTP(front, rules, server, pki); err != nil {
		return err
	}
	if err = front.open(); err != nil {
		return err
	}
	return serveControl(control, rules, front)
}

func serveHTTP(front *front, rules *rules, server *url.URL, pki string) error {
	proxy := &proxy{rules: rules, target: server}
	if err := proxy.connect(pki); err != nil {
		return err
	}
	if server.Scheme == "http" {
		front.serveHTTP(proxy, nil)
		return nil
	}
	issuer, err := newIssuer(pki)
	if err != nil {
		return err
	}
	front.serveHTTP(proxy, issuer)
	return issuer.renew()
}
