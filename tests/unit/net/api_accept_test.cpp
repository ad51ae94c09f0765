// Content negotiation, with the Accept headers that real clients send.
#include "net/api/accept.hpp"

#include <catch2/catch.hpp>

#include <vector>

namespace moored::net::api {
namespace {

TEST_CASE("api accept: the first entry that can be served decides") {
  struct Row {
    const char* accept;
    Offer offer;
    std::optional<Form> form;
    const char* version;
  };
  constexpr auto kTables =
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;"
      "g=meta.k8s.io,application/json";
  constexpr auto kGroups =
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;"
      "g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
  const std::vector<Row> rows{
      {"", Offer::objects, Form::plain, ""},
      {"application/json", Offer::objects, Form::plain, ""},
      {"application/json, */*", Offer::objects, Form::plain, ""},
      {"*/*", Offer::objects, Form::plain, ""},
      {"APPLICATION/JSON", Offer::objects, Form::plain, ""},
      {"application/vnd.kubernetes.protobuf,application/json", Offer::objects, Form::plain, ""},
      {"application/vnd.kubernetes.protobuf, */*", Offer::objects, Form::plain, ""},
      {"application/cbor, */*", Offer::objects, Form::plain, ""},
      {"application/json;q=0.5", Offer::objects, Form::plain, ""},
      {kTables, Offer::objects, Form::table, "v1"},
      {kTables, Offer::only_plain, Form::plain, ""},
      {kTables, Offer::discovery, Form::plain, ""},
      {"application/json;as=Table;v=v1beta1;g=meta.k8s.io", Offer::objects, Form::table, "v1beta1"},
      {"application/json; as=Table; g=meta.k8s.io; v=v1", Offer::objects, Form::table, "v1"},
      {"application/json;as=Table;v=v7;g=meta.k8s.io", Offer::objects, std::nullopt, ""},
      {"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Offer::objects,
       Form::metadata, "v1"},
      {"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Offer::objects,
       Form::metadata, "v1"},
      {kGroups, Offer::discovery, Form::discovery, "v2"},
      {"application/json;v=v2beta1;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList",
       Offer::discovery, Form::discovery, "v2beta1"},
      {"application/json;v=v3;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json",
       Offer::discovery, Form::plain, ""},
      {"application/vnd.kubernetes.protobuf", Offer::objects, std::nullopt, ""},
      {"text/html", Offer::objects, std::nullopt, ""},
      {"*/*;as=Table;v=v1;g=meta.k8s.io", Offer::objects, std::nullopt, ""},
  };
  for (const auto& row : rows) {
    INFO(row.accept);
    const auto choice = choose(row.accept, row.offer);
    REQUIRE(choice.has_value() == row.form.has_value());
    if (!choice) continue;
    CHECK(choice->form == *row.form);
    CHECK(choice->version == row.version);
  }
}

TEST_CASE("api accept: eight kilobytes of entries are walked to the end") {
  std::string accept;
  while (accept.size() < 8000)
    accept += "application/x-unknown;as=Table,";
  CHECK_FALSE(choose(accept, Offer::objects));
  CHECK(choose(accept + "application/json", Offer::objects));
}

}  // namespace
}  // namespace moored::net::api
