// A stand-in for the AWS provider that knows its schema and nothing else: enough for `terraform validate` and, with
// `mock_provider`, for `terraform test`. It can't reach any account. The schema is what schema.py has read out of the
// published bindings; it lies beside the binary, as schema.json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type                         any
	Required, Optional, Computed bool
}

type block struct {
	Nesting    string
	Min, Max   int64
	Attributes map[string]attribute
	Blocks     map[string]block
}

type schemas struct {
	Provider        block
	Resources, Data map[string]block
}

func typeOf(t any) tftypes.Type {
	switch t := t.(type) {
	case string:
		return map[string]tftypes.Type{"string": tftypes.String, "bool": tftypes.Bool, "number": tftypes.Number}[t]
	case []any:
		if t[0] == "object" {
			fields := map[string]tftypes.Type{}
			for name, field := range t[1].(map[string]any) {
				fields[name] = typeOf(field)
			}
			return tftypes.Object{AttributeTypes: fields}
		}
		inner := typeOf(t[1])
		switch t[0] {
		case "list":
			return tftypes.List{ElementType: inner}
		case "set":
			return tftypes.Set{ElementType: inner}
		case "map":
			return tftypes.Map{ElementType: inner}
		}
	}
	log.Fatalf("the schema has an unknown type %v", t)
	return nil
}

func body(b block) *tfprotov5.SchemaBlock {
	made := &tfprotov5.SchemaBlock{}
	for name, a := range b.Attributes {
		made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: typeOf(a.Type), Required: a.Required, Optional: a.Optional, Computed: a.Computed})
	}
	nesting := map[string]tfprotov5.SchemaNestedBlockNestingMode{
		"list": tfprotov5.SchemaNestedBlockNestingModeList, "set": tfprotov5.SchemaNestedBlockNestingModeSet,
		"single": tfprotov5.SchemaNestedBlockNestingModeSingle, "map": tfprotov5.SchemaNestedBlockNestingModeMap}
	for name, inner := range b.Blocks {
		nested := &tfprotov5.SchemaNestedBlock{TypeName: name, Block: body(inner), Nesting: nesting[inner.Nesting]}
		if inner.Nesting != "single" {
			nested.MinItems, nested.MaxItems = inner.Min, inner.Max
		}
		made.BlockTypes = append(made.BlockTypes, nested)
	}
	return made
}

func all(of map[string]block) map[string]*tfprotov5.Schema {
	made := map[string]*tfprotov5.Schema{}
	for name, b := range of {
		made[name] = &tfprotov5.Schema{Block: body(b)}
	}
	return made
}

var errStandIn = errors.New("this provider knows the schema only; it can't reach an account")

type server struct {
	tfprotov5.ProviderServer // what is never called has no answer
	known                    schemas
}

func (s server) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	answer := &tfprotov5.GetMetadataResponse{}
	for name := range s.known.Resources {
		answer.Resources = append(answer.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range s.known.Data {
		answer.DataSources = append(answer.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return answer, nil
}

func (s server) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return &tfprotov5.GetProviderSchemaResponse{Provider: &tfprotov5.Schema{Block: body(s.known.Provider)},
		ResourceSchemas: all(s.known.Resources), DataSourceSchemas: all(s.known.Data)}, nil
}

func (s server) PrepareProviderConfig(_ context.Context, r *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (s server) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (s server) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (s server) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return nil, errStandIn
}

func (s server) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func main() {
	binary, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(binary), "schema.json"))
	if err != nil {
		log.Fatal(err)
	}
	var known schemas
	if err := json.Unmarshal(text, &known); err != nil {
		log.Fatal(err)
	}
	if err := tf5server.Serve("registry.terraform.io/hashicorp/aws", func() tfprotov5.ProviderServer {
		return server{known: known}
	}); err != nil {
		log.Fatal(err)
	}
}
