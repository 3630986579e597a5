// Webtask is what the tests run in containers: it answers on $PORT0, and ends
// when told to.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "exit" {
		exit(os.Args[2])
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello from ", os.Getenv("MESOS_TASK_ID")) })
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(r.URL.Query().Get("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(b)
	})
	http.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) { exit(r.URL.Query().Get("code")) })
	fmt.Println("listening on", os.Getenv("PORT0"))
	fmt.Fprintln(os.Stderr, "a word on standard error")
	if err := http.ListenAndServe(":"+os.Getenv("PORT0"), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exit(code string) {
	n, _ := strconv.Atoi(code)
	os.Exit(n)
}
