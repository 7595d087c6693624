// Go's net/http with its defaults.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type session struct {
	LinkToken string `json:"link_token"`
}

func main() {
	sessions := os.Args[1]
	rounds, err := strconv.Atoi(os.Args[3])
	check(err)
	for round := 0; round < rounds; round++ {
		body := `{"user_id": "user-1", "redirect_url": "https://your-app.com/callback"}`
		created := answer("POST", sessions, strings.NewReader(body))
		answer("GET", sessions+"/"+created.LinkToken, nil)
		answer("POST", sessions+"/"+created.LinkToken+"/expire", nil)
	}
}

func answer(method, url string, body io.Reader) (answered session) {
	request, err := http.NewRequest(method, url, body)
	check(err)
	request.Header.Set("x-api-key", os.Args[2])
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(err)
	fmt.Printf("%s\t%d\t%f\n", text, response.StatusCode, time.Since(start).Seconds())
	check(json.Unmarshal(text, &answered))
	return
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
