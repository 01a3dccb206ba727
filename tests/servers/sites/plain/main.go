// Command main is net/http as everybody begins with it: no Shutdown, no signals.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	worker := os.Getenv("DUTCH_MASTER_WORKER_ID")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		// Some requests take a while, so that a few are in flight whenever the worker is replaced.
		if strings.HasSuffix(id, "0") {
			time.Sleep(100 * time.Millisecond)
		}
		fmt.Fprintf(w, "id=%s. worker=%s\n", id, worker)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8000", nil))
}
