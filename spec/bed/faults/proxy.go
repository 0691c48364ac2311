package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// proxy asks the server, and does on the way there and back what the rules say.
type proxy struct {
	rules  *rules
	target *url.URL
	admin  http.RoundTripper // for requests that bring no Authorization
	plain  http.RoundTripper // for those that do: the server would prefer the certificate
}

func (p *proxy) connect(pki string) error {
	if p.target.Scheme != "https" {
		p.plain = &http.Transport{DisableCompression: true}
		p.admin = p.plain
		return nil
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return err
	}
	transport := func(certificates ...tls.Certificate) http.RoundTripper {
		return &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certificates}}
	}
	p.admin, p.plain = transport(pair), transport()
	return nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	what := subjectOf(q)
	met := p.rules.meet(atRequest, what, nil)
	for _, r := range met {
		switch {
		case r.Act == "delay" && !r.After:
			pause(q.Context(), r)
		case r.Act == "goaway":
			w.Header().Set("Connection", "close") // HTTP/2 turns it into GOAWAY
		case r.Act == "status":
			io.Copy(io.Discard, q.Body)
			r.answer(w)
			return
		case r.Act == "reset":
			panic(http.ErrAbortHandler)
		}
	}
	answer, err := p.ask(q)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			log.Printf("%s %s: %v", q.Method, q.URL.RequestURI(), err)
		}
		panic(http.ErrAbortHandler) // the nearest to a server that is away
	}
	defer answer.Body.Close()
	for _, r := range met {
		switch {
		case r.Act == "delay" && r.After:
			pause(q.Context(), r)
		case r.Act == "replace" || r.Act == "drop":
			if !what.watch { // a watch has no end
				io.Copy(io.Discard, answer.Body)
			}
			if r.Act == "drop" {
				panic(http.ErrAbortHandler)
			}
			r.answer(w)
			return
		}
	}
	copyHeader(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	newStream(p.rules, w, q, what).run(answer)
}

func subjectOf(q *http.Request) subject {
	watch := q.URL.Query().Get("watch")
	return subject{method: q.Method, path: q.URL.RequestURI(), agent: q.UserAgent(), action: q.Header.Get("X-Amz-Target"),
		watch: watch == "1" || watch == "true"}
}

// ask sends the request on; its answer is as the server gave it.
func (p *proxy) ask(q *http.Request) (*http.Response, error) {
	out := q.Clone(q.Context())
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	out.RequestURI = ""
	out.Close = false
	out.Header = http.Header{}
	copyHeader(out.Header, q.Header)
	if q.UserAgent() == "" {
		out.Header.Set("User-Agent", "") // or Go would say its own
	}
	if q.ContentLength == 0 {
		out.Body = http.NoBody
	}
	if q.Header.Get("Authorization") != "" {
		return p.plain.RoundTrip(out)
	}
	return p.admin.RoundTrip(out)
}

// Headers of one connection, which are not the other one's.
var hop = map[string]bool{"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		if !hop[name] {
			to[name] = values
		}
	}
}

var reasons = map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid",
	429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}

// statusObject is what an API server would say.
func statusObject(code int) map[string]any {
	return map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": "a fault of the test bed", "reason": reasons[code], "code": code}
}

// answer is that of a rule instead of the server's.
func (r *rule) answer(w http.ResponseWriter) {
	var body string
	if r.Body != nil {
		body = *r.Body
	} else {
		text, _ := json.Marshal(statusObject(r.Status))
		body = string(text)
	}
	kind := r.Type
	if kind == "" && strings.HasPrefix(body, "<") {
		kind = "text/html"
	} else if kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.RetryAfter))
	}
	w.WriteHeader(r.Status)
	io.WriteString(w, body)
}

// pause waits as long as the rule says, but not when it is removed or the client is gone.
func pause(ctx context.Context, r *rule) {
	timer := time.NewTimer(time.Duration(r.MS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.gone:
	case <-ctx.Done():
	}
}
