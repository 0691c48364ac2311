package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
)

// command is one line to the control port. Each is answered with one line of JSON: what it did, or {"error": text}.
//
//	{"do": "add", "act": ..., ...}        adds a rule: {"id": 1}
//	{"do": "remove", "id": 1}             takes it away: {"removed": 1}
//	{"do": "clear"}                       takes all away: {"removed": 3}
//	{"do": "list"}                        {"rules": [{"id": 1, "hits": 5, "act": ..., ...}]}
//	{"do": "recert", "close": true}       a new certificate for new connections; `close` resets the old ones: {"serial": "a1"}
type command struct {
	Do    string `json:"do"`
	ID    int    `json:"id"`
	Close bool   `json:"close"`
	terms
}

func serveControl(port int, rules *rules, front *front) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				answer, err := obey(lines.Bytes(), rules, front)
				if err != nil {
					answer = map[string]any{"error": err.Error()}
				}
				if json.NewEncoder(conn).Encode(answer) != nil {
					return
				}
			}
		}()
	}
}

func obey(line []byte, rules *rules, front *front) (map[string]any, error) {
	var c command
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields() // a misspelt condition must not make a rule that meets everything
	if err := decoder.Decode(&c); err != nil {
		return nil, err
	}
	switch c.Do {
	case "add":
		r, err := rules.add(c.terms)
		if err != nil {
			return nil, err
		}
		return map[string]any{"id": r.ID}, follow(rules, front)
	case "remove":
		if c.ID == 0 || rules.remove(c.ID) == 0 {
			return nil, fmt.Errorf("no rule %d", c.ID)
		}
		return map[string]any{"removed": 1}, follow(rules, front)
	case "clear":
		return map[string]any{"removed": rules.remove(0)}, follow(rules, front)
	case "list":
		return map[string]any{"rules": rules.snapshot()}, nil
	case "recert":
		return recert(c, front)
	}
	return nil, fmt.Errorf("unknown command %q", c.Do)
}

// follow makes the listener obey the rules.
func follow(rules *rules, front *front) error {
	if rules.has("refuse") {
		front.refuse()
		return nil
	}
	return front.open()
}

func recert(c command, front *front) (map[string]any, error) {
	if front.issuer == nil {
		return nil, fmt.Errorf("no TLS here")
	}
	if err := front.issuer.renew(); err != nil {
		return nil, err
	}
	if c.Close {
		front.endConns()
	}
	return map[string]any{"serial": front.issuer.serial()}, nil
}
