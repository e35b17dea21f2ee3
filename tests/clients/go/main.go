// The contract of tests/clients/README.md on segmentio/kafka-go.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const keys = 97

type options map[string]string

func (o options) count() int {
	n, err := strconv.Atoi(o["count"])
	check(err)
	return n
}

func (o options) brokers() []string { return strings.Split(o["bootstrap"], ",") }

// security reads the config file: nil TLS or nil SASL where it asks for none.
func (o options) security() (*tls.Config, sasl.Mechanism) {
	if o["config"] == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o["config"])
	check(err)
	conf := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if key, value, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
			conf[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	protocol := conf["security.protocol"]
	var encryption *tls.Config
	if strings.HasSuffix(protocol, "SSL") {
		pem, err := os.ReadFile(conf["ssl.ca"])
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		encryption = &tls.Config{RootCAs: roots}
		if conf["ssl.certificate"] != "" {
			own, err := tls.LoadX509KeyPair(conf["ssl.certificate"], conf["ssl.key"])
			check(err)
			encryption.Certificates = []tls.Certificate{own}
		}
	}
	var mechanism sasl.Mechanism
	if strings.HasPrefix(protocol, "SASL") {
		user, password := conf["sasl.username"], conf["sasl.password"]
		switch conf["sasl.mechanism"] {
		case "PLAIN":
			mechanism = plain.Mechanism{Username: user, Password: password}
		case "SCRAM-SHA-256":
			mechanism, err = scram.Mechanism(scram.SHA256, user, password)
		default:
			mechanism, err = scram.Mechanism(scram.SHA512, user, password)
		}
		check(err)
	}
	return encryption, mechanism
}

func (o options) dialer() *kafka.Dialer {
	encryption, mechanism := o.security()
	return &kafka.Dialer{Timeout: 10 * time.Second, DualStack: true, TLS: encryption, SASLMechanism: mechanism}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func record(seed string, i int) kafka.Message {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s:%d", seed, i)))
	value := fmt.Sprintf("%s:%d:%d:", seed, i, i/keys) + strings.Repeat(hex.EncodeToString(sum[:]), i%9)
	return kafka.Message{
		Key:   []byte(fmt.Sprintf("%s-k%d", seed, i%keys)),
		Value: []byte(value),
		Headers: []kafka.Header{
			{Key: "n", Value: []byte(strconv.Itoa(i))},
			{Key: "twice", Value: []byte("a")},
			{Key: "twice", Value: []byte("b")},
		},
	}
}

func digest(m kafka.Message) uint64 {
	sha := sha256.New()
	sha.Write(m.Key)
	sha.Write([]byte{0})
	sha.Write(m.Value)
	for _, header := range m.Headers {
		sha.Write([]byte{0})
		sha.Write([]byte(header.Key + "="))
		sha.Write(header.Value)
	}
	return binary.BigEndian.Uint64(sha.Sum(nil))
}

func produce(o options) bool {
	encryption, mechanism := o.security()
	writer := &kafka.Writer{
		Addr:         kafka.TCP(o.brokers()...),
		Topic:        o["topic"],
		Balancer:     &kafka.Hash{},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond,
		MaxAttempts:  30,
		Transport:    &kafka.Transport{TLS: encryption, SASL: mechanism},
	}
	acked, hash := 0, uint64(0)
	count := o.count()
	for from := 0; from < count; from += 500 {
		var batch []kafka.Message
		for i := from; i < count && i < from+500; i++ {
			batch = append(batch, record(o["seed"], i))
		}
		if err := writer.WriteMessages(context.Background(), batch...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		acked += len(batch)
		for _, message := range batch {
			hash += digest(message)
		}
	}
	check(writer.Close())
	fmt.Printf("{\"acked\": %d, \"hash\": \"%016x\"}\n", acked, hash)
	return acked == count
}

func consume(o options) bool {
	timeout := 120
	if o["timeout"] != "" {
		timeout, _ = strconv.Atoi(o["timeout"])
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(timeout)*time.Second)
	defer cancel()
	asked := false
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() { <-terminate; asked = true; cancel() }()

	file, err := os.OpenFile(o["out"], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	check(err)
	out := bufio.NewWriter(file)
	type delivery struct {
		message kafka.Message
		from    *kafka.Reader
	}
	messages := make(chan delivery, 1000)
	var readers sync.WaitGroup
	base := kafka.ReaderConfig{
		Brokers: o.brokers(), Topic: o["topic"], Dialer: o.dialer(), MinBytes: 1, MaxBytes: 4 << 20,
		MaxWait: 250 * time.Millisecond, StartOffset: kafka.FirstOffset,
	}
	var configs []kafka.ReaderConfig
	if group := o["group"]; group != "" {
		base.GroupID = group
		base.RebalanceTimeout = 10 * time.Second
		base.CommitInterval = 100 * time.Millisecond
		configs = []kafka.ReaderConfig{base}
	} else {
		var connection *kafka.Conn
		var err error
		for _, broker := range o.brokers() { // one of them may be gone
			if connection, err = base.Dialer.DialContext(ctx, "tcp", broker); err == nil {
				break
			}
		}
		check(err)
		partitions, err := connection.ReadPartitions(o["topic"])
		check(err)
		connection.Close()
		for _, partition := range partitions {
			config := base
			config.Partition = partition.ID
			configs = append(configs, config)
		}
	}
	for _, config := range configs {
		reader := kafka.NewReader(config)
		readers.Add(1)
		go func() {
			defer readers.Done()
			defer reader.Close()
			for {
				message, err := reader.FetchMessage(ctx)
				if err != nil {
					if !errors.Is(err, context.Canceled) && ctx.Err() == nil {
						fmt.Fprintln(os.Stderr, err)
						time.Sleep(200 * time.Millisecond)
						continue
					}
					return
				}
				select {
				case messages <- delivery{message, reader}:
				case <-ctx.Done():
					return
				}
			}
		}()
	}

	read, hash, count := 0, uint64(0), o.count()
	flush := time.NewTicker(100 * time.Millisecond)
	for read < count && ctx.Err() == nil {
		select {
		case d := <-messages:
			m := d.message
			value := digest(m)
			counter := strings.SplitN(string(m.Value), ":", 4)[2]
			fmt.Fprintf(out, "%d\t%d\t%s\t%s\t%016x\n", m.Partition, m.Offset, m.Key, counter, value)
			read++
			hash += value
			if o["group"] != "" {
				if err := d.from.CommitMessages(ctx, m); err != nil && ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		case <-flush.C:
			out.Flush()
		case <-ctx.Done():
		}
	}
	out.Flush()
	cancel()
	readers.Wait()
	fmt.Printf("{\"count\": %d, \"hash\": \"%016x\"}\n", read, hash)
	return read >= count || asked
}

func main() {
	o := options{}
	for i := 2; i+1 < len(os.Args); i += 2 {
		o[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	done := false
	if os.Args[1] == "produce" {
		done = produce(o)
	} else {
		done = consume(o)
	}
	if !done {
		os.Exit(1)
	}
}
