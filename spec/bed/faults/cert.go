package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"
)

// issuer makes server certificates of the bed's CA.
type issuer struct {
	authority *x509.Certificate
	key       crypto.PrivateKey
	current   atomic.Pointer[tls.Certificate]
}

func newIssuer(pki string) (*issuer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(pair.Certificate[0])
	return &issuer{authority: authority, key: pair.PrivateKey}, err
}

// renew makes a new key and certificate for the connections to come.
func (i *issuer) renew() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "bed-faults"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.authority, key.Public(), i.key)
	if err != nil {
		return err
	}
	i.current.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return nil
}

func (i *issuer) serial() string {
	leaf, err := x509.ParseCertificate(i.current.Load().Certificate[0])
	if err != nil {
		return ""
	}
	return leaf.SerialNumber.Text(16)
}
