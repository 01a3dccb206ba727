// A server on the passed socket, descriptor 3, with the standard library alone.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// ready says READY=1, as sd_notify(3) does.
func ready() error {
	socket, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer socket.Close()
	_, err = socket.Write([]byte("READY=1"))
	return err
}

func main() {
	listener, err := net.FileListener(os.NewFile(3, "http"))
	if err != nil {
		log.Fatal(err)
	}
	generation := os.Getenv("DUTCH_MASTER_GENERATION")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from generation=%s\n", generation)
	})}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	if err := ready(); err != nil {
		log.Print(err)
	}
	<-told.Done()
	server.Shutdown(context.Background())
}
