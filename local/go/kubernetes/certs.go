package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// validity is long enough for a cluster that stays up, short enough that a forgotten key dies.
const validity = 365 * 24 * time.Hour

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

type identity struct {
	file, user string
	groups     []string
}

// clients are the parties that talk to the API server. Each gets a key, a certificate and,
// where it is a process of ours, a kubeconfig.
func clients(node string) []identity {
	return []identity{
		{"admin", "local-admin", []string{"system:masters"}},
		{"controller-manager", "system:kube-controller-manager", nil},
		{"scheduler", "system:kube-scheduler", nil},
		{"kube-proxy", "system:kube-proxy", nil},
		{"kubelet", "system:node:" + node, []string{"system:nodes"}},
		{"provisioner", "local-provisioner", nil},
		{"netpolicy", "local-netpolicy", nil},
	}
}

// runCerts writes every key, certificate and kubeconfig of one cluster into a folder.
func runCerts() int {
	flags := flag.NewFlagSet("certs", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder to write to")
	server := flags.String("server", "", "address of the API server, https://host:port")
	node := flags.String("node", "node", "name of the node")
	addresses := flags.String("addresses", "127.0.0.1", "addresses the servers answer on, comma separated")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	if *dir == "" || *server == "" {
		fmt.Fprintln(os.Stderr, "certs: --dir and --server are required")
		return 2
	}
	if err := writeAll(*dir, *server, *node, strings.Split(*addresses, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "certs:", err)
		return 1
	}
	return 0
}

func writeAll(dir, server, node string, addresses []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(dir, "ca", "local-kubernetes")
	if err != nil {
		return err
	}
	front, err := newAuthority(dir, "front-proxy-ca", "local-front-proxy")
	if err != nil {
		return err
	}
	names := []string{node, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local"}
	for _, file := range []string{"apiserver", "kubelet-server"} {
		if _, err := ca.issue(dir, identity{file: file, user: file}, names, addresses); err != nil {
			return err
		}
	}
	if _, err := front.issue(dir, identity{file: "front-proxy", user: "front-proxy"}, nil, nil); err != nil {
		return err
	}
	etcd, err := newAuthority(dir, "etcd-ca", "local-etcd")
	if err != nil {
		return err
	}
	// An authority of its own: whoever may talk to the API server may still not read its database.
	if _, err := etcd.issue(dir, identity{file: "etcd", user: "etcd"}, []string{"localhost"}, []string{"127.0.0.1"}); err != nil {
		return err
	}
	toKubelet := identity{"apiserver-kubelet", "kube-apiserver-kubelet-client", []string{"system:masters"}}
	if _, err := ca.issue(dir, toKubelet, nil, nil); err != nil {
		return err
	}
	for _, client := range clients(node) {
		pair, err := ca.issue(dir, client, nil, nil)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(dir, server, client.file, ca.pem, pair); err != nil {
			return err
		}
	}
	return writeServiceAccountKeys(dir)
}

func newAuthority(dir, file, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(name, nil)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pair, err := writePair(dir, file, der, key)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: parsed, key: key, pem: pair.certificate}, nil
}

type pemPair struct{ certificate, key []byte }

func (a *authority) issue(dir string, who identity, names, addresses []string) (pemPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pemPair{}, err
	}
	template := certificate(who.user, who.groups)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames = names
	for _, address := range addresses {
		ip := net.ParseIP(address)
		if ip == nil {
			return pemPair{}, fmt.Errorf("%q is not an IP address", address)
		}
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return pemPair{}, err
	}
	return writePair(dir, who.file, der, key)
}

func certificate(name string, groups []string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		// A clock that is set back a little after a restart must not make the cluster unreachable.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(validity),
	}
}

func writePair(dir, file string, der []byte, key *ecdsa.PrivateKey) (pemPair, error) {
	keyDer, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pemPair{}, err
	}
	pair := pemPair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDer}),
	}
	if err := os.WriteFile(filepath.Join(dir, file+".crt"), pair.certificate, 0o644); err != nil {
		return pemPair{}, err
	}
	return pair, os.WriteFile(filepath.Join(dir, file+".key"), pair.key, 0o600)
}

func writeServiceAccountKeys(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	if err := os.WriteFile(filepath.Join(dir, "service-account.pub"), block, 0o644); err != nil {
		return err
	}
	block = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	return os.WriteFile(filepath.Join(dir, "service-account.key"), block, 0o600)
}

func writeKubeconfig(dir, server, file string, ca []byte, pair pemPair) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[file] = &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.certificate,
		ClientKeyData:         pair.key,
	}
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: file}
	config.CurrentContext = "local"
	return clientcmd.WriteToFile(*config, filepath.Join(dir, file+".kubeconfig"))
}
