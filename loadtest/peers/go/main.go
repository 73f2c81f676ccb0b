// This is the Go twin: net/http with its defaults. It sets no timeouts, which saves Go the deadline calls that weft's
// defaults pay for. On SIGTERM it drains as Go's documentation shows.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const maxEcho = 16 << 20

func main() {
	address := flag.String("address", "127.0.0.1:8080", "where to listen")
	procs := flag.Int("procs", 2, "GOMAXPROCS")
	before := flag.String("before", "hello, ", "the reply before the name")
	after := flag.String("after", "\n", "the reply after the name")
	flag.Parse()
	runtime.GOMAXPROCS(*procs)

	mux := http.NewServeMux()
	mux.HandleFunc("/hello/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/hello/")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, *before+name+*after)
	})
	// Reads the whole body before it answers, as weft's handler does. The length is known, so one allocation is enough
	// where io.ReadAll would grow its buffer in several steps.
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.ContentLength < 0 || r.ContentLength > maxEcho {
			http.Error(w, "echo: want a POST of known length", http.StatusBadRequest)
			return
		}
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(body)
	})
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: mux}

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		log.Fatal(err)
	case <-stop.Done():
	}
	drain, done := context.WithTimeout(context.Background(), 8*time.Second)
	defer done()
	if err := server.Shutdown(drain); err != nil {
		log.Fatal(err)
	}
}
