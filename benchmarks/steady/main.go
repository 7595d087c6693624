// Creates at an even pace on kept connections, each of which waits for its answer, and look-ups of what it made last. A
// line on standard input ends an interval: its figures are then a line of JSON. The end of the input ends it all.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const path = "/v2/manufacturer/link-sessions"

// What is late by more than this is not made up for, so that no burst follows an outage.
const lateAtMost = 100 * time.Millisecond

// What happened from one line of the input to the next, in milliseconds; an answer counts where it ended.
type interval struct {
	began       time.Time
	Outcomes    map[string]int `json:"outcomes"`
	Longest     float64        `json:"longest_ms"`
	FirstMade   *float64       `json:"first_201_ms"`
	LastFailure *float64       `json:"last_failure_ms"`
}

type record struct {
	sync.Mutex
	now    interval
	tokens *bufio.Writer
}

func milliseconds(taken time.Duration) float64 { return float64(taken) / 1e6 }

func (r *record) begin() {
	r.now = interval{began: time.Now(), Outcomes: map[string]int{}}
}

func (r *record) add(outcome string, began time.Time, made string) {
	r.Lock()
	defer r.Unlock()
	r.now.Outcomes[outcome]++
	if taken := milliseconds(time.Since(began)); taken > r.now.Longest {
		r.now.Longest = taken
	}
	at := milliseconds(time.Since(r.now.began))
	if made != "" {
		r.tokens.WriteString(made + "\n")
		if r.now.FirstMade == nil {
			r.now.FirstMade = &at
		}
	} else if outcome != "200" {
		r.now.LastFailure = &at
	}
}

// Ends an interval and begins the next.
func (r *record) write() {
	r.Lock()
	defer r.Unlock()
	line, _ := json.Marshal(r.now)
	fmt.Println(string(line))
	r.begin()
}

type caller struct {
	address, key string
	timeout      time.Duration
	connection   net.Conn
	reader       *bufio.Reader
}

// The status, or what stands for one where there is no answer, and the body.
func (c *caller) ask(request string) (string, []byte) {
	status, body, err := c.exchange(request)
	var failure net.Error
	if err == nil {
		return strconv.Itoa(status), body
	}
	c.hangUp()
	if errors.As(err, &failure) && failure.Timeout() {
		return "timeout", nil
	}
	return "broken", nil
}

func (c *caller) exchange(request string) (int, []byte, error) {
	deadline := time.Now().Add(c.timeout)
	if c.connection == nil {
		connection, err := net.DialTimeout("tcp", c.address, c.timeout)
		if err != nil {
			return 0, nil, err
		}
		c.connection, c.reader = connection, bufio.NewReader(connection)
	}
	c.connection.SetDeadline(deadline)
	if _, err := io.WriteString(c.connection, request); err != nil {
		return 0, nil, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.Close {
		c.hangUp()
	}
	return answer.StatusCode, body, err
}

func (c *caller) hangUp() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

func (c *caller) create() (string, string) {
	body := fmt.Sprintf(`{"user_id":"manufacturer_user_id_%d","redirect_url":"https://your-app.com/callback","language":"nl"}`,
		1000000000+rand.Intn(1000000000))
	status, answer := c.ask(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, c.key, len(body), body))
	if status != "201" {
		return status, ""
	}
	_, rest, _ := bytes.Cut(answer, []byte(`"link_token":"`))
	token, _, found := bytes.Cut(rest, []byte(`"`))
	if !found {
		return "201 without a token", ""
	}
	return status, string(token)
}

func (c *caller) lookUp(token string) string {
	status, _ := c.ask(fmt.Sprintf("GET %s/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: %s\r\n\r\n", path, token, c.key))
	return status
}

// One request after the other until the end, one create for so many look-ups.
func (c *caller) run(pause time.Duration, lookUps int, kept *record, ended <-chan struct{}) {
	due, token := time.Now().Add(time.Duration(rand.Float64()*float64(pause))), ""
	for number := 0; ; number++ {
		select {
		case <-ended:
			c.hangUp()
			return
		case <-time.After(time.Until(due)):
		}
		began := time.Now()
		if token == "" || number%(1+lookUps) == 0 {
			outcome, made := c.create()
			kept.add(outcome, began, made)
			if made != "" {
				token = made
			}
		} else {
			kept.add(c.lookUp(token), began, "")
		}
		due = due.Add(pause)
		if now := time.Now(); now.Sub(due) > lateAtMost {
			due = now
		}
	}
}

func main() {
	address := flag.String("address", "", "host and port")
	connections := flag.Int("connections", 64, "")
	rate := flag.Float64("rate", 0, "requests a second over all connections; 0: one after the other without a pause")
	lookUps := flag.Int("look-ups", 0, "for each create")
	timeout := flag.Duration("timeout", 15*time.Second, "of one request")
	tokens := flag.String("tokens", "", "the file to which each token that was answered is added, one a line")
	flag.Parse()
	file, err := os.OpenFile(*tokens, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	kept := &record{tokens: bufio.NewWriter(file)}
	kept.begin()
	pause := time.Duration(0)
	if *rate > 0 {
		pause = time.Duration(float64(*connections) / *rate * float64(time.Second))
	}
	rand.Seed(time.Now().UnixNano())
	ended, callers := make(chan struct{}), sync.WaitGroup{}
	for i := 0; i < *connections; i++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			(&caller{address: *address, key: os.Getenv("API_KEY"), timeout: *timeout}).run(pause, *lookUps, kept, ended)
		}()
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		kept.write()
	}
	close(ended)
	callers.Wait()
	if err := kept.tokens.Flush(); err != nil {
		panic(err)
	}
	kept.write()
}
