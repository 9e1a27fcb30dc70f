package eventfold

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Version is the version of this client.
const Version = "0.1.0"

const (
	timeoutDefault = 10 * time.Second
	// Pages and states stay under gRPC's default of 4 MiB; one event with all its parts may come
	// close, so there is room.
	messageBytesMax = 8 << 20
	// A peer that is dead while calls are under way is found within 80 s. A ping a minute is far
	// below what servers call a flood.
	keepaliveTime    = 60 * time.Second
	keepaliveTimeout = 20 * time.Second
)

// Option is a choice of Open.
type Option func(*settings) error

type settings struct {
	target     string
	token      string
	hasToken   bool
	isInsecure bool
	tls        *tls.Config
	timeout    time.Duration
	dial       []grpc.DialOption
}

// WithToken sends a token with each call, as `authorization: Bearer`. In plain text it is sent to
// this machine alone, unless WithInsecure is given too.
func WithToken(token string) Option {
	return func(s *settings) error {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return invalidValue("token", "a token has visible ASCII characters, at least one", nil)
		}
		s.token, s.hasToken = token, true
		return nil
	}
}

// WithTLS encrypts the connection. nil: with the authorities of the system, and no certificate of
// the client. Default: plain text.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		s.tls = config
		return nil
	}
}

// WithAuthorities encrypts the connection, and takes the certificate of a server that one of these
// authorities vouches for, and no other. They come in PEM.
func WithAuthorities(pem []byte) Option {
	return func(s *settings) error {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return invalidValue("authorities", "there is no certificate in this PEM", nil)
		}
		s.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		return nil
	}
}

// WithInsecure allows the token to travel in plain text to another machine: something else protects
// the way there.
func WithInsecure() Option {
	return func(s *settings) error {
		s.isInsecure = true
		return nil
	}
}

// WithTimeout is the deadline of a call, with its repetitions, whose context has none; of a read,
// of the time in which nothing new comes. Default: 10 s. The server cuts what is above 60 s.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return invalidValue("timeout", "a timeout is above 0", nil)
		}
		s.timeout = timeout
		return nil
	}
}

// WithDialOptions passes options on to gRPC: a dialer, interceptors, statistics.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

func newSettings(target string, options []Option) (*settings, error) {
	s := &settings{target: target, timeout: timeoutDefault}
	for _, option := range options {
		if err := option(s); err != nil {
			return nil, err
		}
	}
	if s.hasToken && s.tls == nil && !s.isInsecure && !isLoopback(target) {
		return nil, (*InsecureConnectionError)(&Error{
			Reason: ErrInsecureConnection, Code: codes.FailedPrecondition,
			Message: "the token would travel in plain text to " + target + "; use WithTLS, or " +
				"WithInsecure if something else protects the way there",
			Facts: map[string]string{"target": target},
		})
	}
	return s, nil
}

func (s *settings) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	reconnects := backoff.Config{
		BaseDelay: backoffFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: backoffMax,
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("eventfold-go/" + Version),
		// What is repeated, and how often, is decided here, not by the server's operator.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: reconnects, MinConnectTimeout: timeoutDefault,
		}),
	}
	if s.hasToken {
		options = append(options, grpc.WithPerRPCCredentials(bearer(s.token)))
	}
	return append(options, s.dial...)
}

// bearer puts a token into the metadata of calls.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false: newSettings has looked at where the token goes.
func (b bearer) RequireTransportSecurity() bool { return false }

// isLoopback says whether a target stays on this machine.
func isLoopback(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:", "ipv4:", "ipv6:", "passthrough:"} {
		target = strings.TrimPrefix(target, scheme)
	}
	host := target[strings.LastIndex(target, "/")+1:]
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
	} else if strings.Count(host, ":") == 1 {
		host, _, _ = strings.Cut(host, ":")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
