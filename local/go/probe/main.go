// A pod that tells what it sees: the tests of the local cluster ask it to look up names, to
// call other services and to keep files on its volume.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	bound   = 5 * time.Second
	maxBody = 1 << 20
)

func main() {
	dir := os.Getenv("PROBE_DIR")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /name", func(out http.ResponseWriter, _ *http.Request) {
		name, err := os.Hostname()
		answer(out, name, err)
	})
	mux.HandleFunc("GET /lookup", func(out http.ResponseWriter, in *http.Request) {
		ctx, cancel := context.WithTimeout(in.Context(), boundOf(in))
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, in.URL.Query().Get("name"))
		answer(out, strings.Join(addresses, "\n"), err)
	})
	mux.HandleFunc("GET /fetch", func(out http.ResponseWriter, in *http.Request) {
		ctx, cancel := context.WithTimeout(in.Context(), boundOf(in))
		defer cancel()
		body, err := fetch(ctx, in.URL.Query().Get("url"))
		answer(out, body, err)
	})
	mux.HandleFunc("PUT /files/{name}", func(out http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(io.LimitReader(in.Body, maxBody))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(in.PathValue("name"))), body, 0o600)
		}
		answer(out, "written", err)
	})
	mux.HandleFunc("GET /files/{name}", func(out http.ResponseWriter, in *http.Request) {
		body, err := os.ReadFile(filepath.Join(dir, filepath.Base(in.PathValue("name"))))
		answer(out, string(body), err)
	})
	fmt.Println("listening on 8080")
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: bound}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}

// boundOf is how long the caller wants to wait for an answer, 5 s at most.
func boundOf(in *http.Request) time.Duration {
	asked, err := time.ParseDuration(in.URL.Query().Get("bound"))
	if err != nil || asked <= 0 || asked > bound {
		return bound
	}
	return asked
}

// fetch opens a new connection each time: a kept one would stay with the pod it first reached.
func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return string(body), err
}

func answer(out http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprint(out, text)
}
