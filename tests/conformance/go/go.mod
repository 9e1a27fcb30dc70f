// Runs the conformance cases over the connection of the Go client; docs/conformance.md tells the format.
module eventfold.dev/conformance

go 1.24.0

require (
	eventfold.dev/go v0.0.0
	go.yaml.in/yaml/v3 v3.0.4
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260120221211-b8f7ae30c516
	google.golang.org/grpc v1.80.0
	google.golang.org/protobuf v1.36.11
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/net v0.49.0 // indirect
	golang.org/x/sys v0.40.0 // indirect
	golang.org/x/text v0.33.0 // indirect
)

// The client of this very commit.
replace eventfold.dev/go => ../../../clients/go
