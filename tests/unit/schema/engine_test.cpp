// The engine over tables of its own, so that each behaviour is seen alone.
#include <catch2/catch.hpp>

#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"

namespace moored {
namespace {

struct Leaf {
  std::string name;
  std::int32_t port = 0;
  std::optional<IntOrString> target;
};

struct Tree {
  std::string title;
  std::optional<std::int32_t> replicas;
  std::int64_t big = 0;
  bool on = false;
  std::optional<bool> maybe;
  Quantity memory;
  std::optional<Time> born;
  std::optional<Time> seen;
  std::vector<Leaf> leaves;
  std::vector<std::string> words;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> secret_values;
  std::optional<Leaf> best;
  std::string server;
};

}  // namespace

template <>
const TypeSchema& schema_of<Leaf>();
template <>
const TypeSchema& schema_of<Tree>();

namespace {

std::optional<Error> check_port(const void* value) {
  const auto port = *static_cast<const std::int32_t*>(value);
  if (port >= 1 && port <= 65535) return std::nullopt;
  return Error{Code::invalid, "a port is 1 to 65535", {}, {}, {}};
}

void check_tree(const void* object, std::vector<Error>& errors) {
  const auto& tree = *static_cast<const Tree*>(object);
  if (tree.words.size() > 2) {
    Error error{Code::invalid, "too many words", "LimitExceeded", {}, {}};
    error.place.field = "words[2]";
    errors.push_back(std::move(error));
  }
}

void complete_tree(void* object) {
  auto& tree = *static_cast<Tree*>(object);
  if (tree.title.empty()) tree.title = "untitled";
}

constexpr Field kLeafFields[] = {
    field<&Leaf::name>("name", {.flags = kRequired, .carried_by = "test", .doc = "n"}),
    field<&Leaf::port>("port", {.fallback = "80", .check = &check_port, .carried_by = "test",
                                .doc = "p"}),
    field<&Leaf::target>("target", {.carried_by = "test", .doc = "t"}),
};

constexpr Field kTreeFields[] = {
    field<&Tree::title>("title", {.flags = kImmutable, .carried_by = "test", .doc = "t"}),
    field<&Tree::replicas>("replicas", {.fallback = "1", .carried_by = "test", .doc = "r"}),
    field<&Tree::big>("big", {.carried_by = "test", .doc = "b"}),
    field<&Tree::on>("enabled", {.carried_by = "test", .doc = "o"}),
    field<&Tree::maybe>("maybe", {.carried_by = "test", .doc = "m"}),
    field<&Tree::memory>("memory", {.carried_by = "test", .doc = "m"}),
    field<&Tree::born>("born", {.carried_by = "test", .doc = "b"}),
    field<&Tree::seen>("seen", {.flags = kMicroTime, .carried_by = "test", .doc = "s"}),
    field<&Tree::leaves>("leaves", {.merge_key = "name", .carried_by = "test", .doc = "l"}),
    field<&Tree::words>("words", {.carried_by = "test", .doc = "w"}),
    field<&Tree::labels>("labels", {.carried_by = "test", .doc = "l"}),
    field<&Tree::secret_values>(
        "secretValues", {.flags = kSecret | kBase64, .carried_by = "test", .doc = "s"}),
    field<&Tree::best>("best", {.carried_by = "test", .doc = "b"}),
    field<&Tree::server>("server", {.flags = kServerOnly, .carried_by = "test", .doc = "s"}),
    refused("affinity", "use nodeSelector"),
};

}  // namespace

template <>
const TypeSchema& schema_of<Leaf>() {
  static constexpr TypeSchema kSchema{"Leaf", kLeafFields};
  return kSchema;
}
template <>
const TypeSchema& schema_of<Tree>() {
  static constexpr TypeSchema kSchema{"Tree", kTreeFields, &check_tree, &complete_tree};
  return kSchema;
}

namespace {

// Reads a manifest's text into a tree and gives what was said about it.
Diagnostics read(const std::string& yaml, Tree& tree) {
  Diagnostics diagnostics;
  const auto documents = read_yaml(yaml, "t.yaml", diagnostics);
  REQUIRE(documents.size() == 1);
  codec::Decoder("t.yaml", codec::Strictness::manifest, diagnostics)
      .read_struct(schema_of<Tree>(), documents[0], &tree, {});
  codec::apply_defaults(schema_of<Tree>(), &tree);
  codec::run_checks(schema_of<Tree>(), &tree, documents[0], "t.yaml", diagnostics);
  return diagnostics;
}

}  // namespace

TEST_CASE("every shape is read") {
  Tree tree;
  const auto said = read(
      "title: x\nreplicas: 0\nbig: 5000000000\nenabled: yes\nmaybe: false\nmemory: 1.5Gi\n"
      "born: 2026-01-02T03:04:05Z\nleaves: [{name: a, port: 1, target: http}, {name: b}]\n"
      "words: [one]\nlabels: {k: v, empty: }\nsecretValues: {p: aGVsbG8=}\nbest: {name: c}\n",
      tree);
  for (const auto& error : said.errors()) INFO(error.text());
  REQUIRE(said.ok());
  CHECK(tree.title == "x");
  CHECK(tree.replicas == 0);
  CHECK(tree.big == 5'000'000'000);
  CHECK(tree.on);
  CHECK(tree.maybe == false);
  CHECK(tree.memory.value() == 1536LL * 1024 * 1024);
  CHECK(format_time(*tree.born) == "2026-01-02T03:04:05Z");
  CHECK(tree.leaves.at(0).target == IntOrString::of("http"));
  CHECK(tree.leaves.at(1).port == 80);
  CHECK(tree.labels.at("empty").empty());
  CHECK(tree.secret_values.at("p") == "hello");
  CHECK(tree.best->port == 80);
}

TEST_CASE("defaults fill what is absent, and hooks run after them") {
  Tree tree;
  REQUIRE(read("{}", tree).ok());
  CHECK(tree.replicas == 1);
  CHECK(tree.title == "untitled");
}

TEST_CASE("every mistake is found in one pass, each with its place") {
  struct Row {
    const char* yaml;
    const char* reason;
    int line;
    int column;
    const char* field;
    const char* fix;
  };
  const Row rows[] = {
      {"replica: 1", "UnknownField", 1, 1, "replica", "did you mean replicas?"},
      {"quite: 1", "UnknownField", 1, 1, "quite", "remove it"},
      {"affinity: {}", "UnknownField", 1, 1, "affinity", "use nodeSelector"},
      {"title: 1", "WrongType", 1, 8, "title", "quote it: \"1\""},
      {"title: no", "WrongType", 1, 8, "title", "quote it: \"false\""},
      {"enabled: 1", "WrongType", 1, 10, "enabled", ""},
      {"replicas: '1'", "WrongType", 1, 11, "replicas", ""},
      {"replicas: 2147483648", "InvalidValue", 1, 11, "replicas", ""},
      {"replicas: 1.5", "WrongType", 1, 11, "replicas", ""},
      {"big: 99999999999999999999", "InvalidValue", 1, 6, "big", ""},
      {"memory: 1X", "InvalidValue", 1, 9, "memory", "write for instance 250m, 1.5, 64Mi or 2Gi"},
      {"born: today", "InvalidValue", 1, 7, "born", "write it as 2026-01-02T03:04:05Z"},
      {"words: x", "WrongType", 1, 8, "words", ""},
      {"words: [a, 2]", "WrongType", 1, 12, "words[1]", "quote it: \"2\""},
      {"words: [a, ~]", "WrongType", 1, 12, "words[1]", ""},
      {"labels: {k: 1}", "WrongType", 1, 13, "labels.k", "quote it: \"1\""},
      {"labels: []", "WrongType", 1, 9, "labels", ""},
      {"leaves: [{port: 1}]", "InvalidValue", 1, 10, "leaves[0].name", ""},
      {"leaves:\n- name: a\n  port: 70000", "InvalidValue", 3, 9, "leaves[0].port", ""},
      {"best: {name: x, porr: 1}", "UnknownField", 1, 17, "best.porr", "did you mean port?"},
      {"words: [a, b, c]", "LimitExceeded", 1, 15, "words[2]", ""},
      {"secretValues: {p: '!'}", "InvalidValue", 1, 16, "secretValues.p",
       "encode it, or use stringData"},
  };
  for (const auto& row : rows) {
    Tree tree;
    const auto said = read(row.yaml, tree);
    REQUIRE(said.error_count() == 1);
    const auto& error = said.errors().front();
    INFO(row.yaml << " gave " << error.text());
    CHECK(error.reason == row.reason);
    CHECK(error.place.line == row.line);
    CHECK(error.place.column == row.column);
    CHECK(error.place.field == row.field);
    CHECK(error.fix == row.fix);
  }
}

TEST_CASE("several mistakes are all reported") {
  Tree tree;
  CHECK(read("replica: 1\ntitle: 2\nleaves: [{}, {prt: 1, name: x}]\n", tree).error_count() == 4);
}

TEST_CASE("a secret never appears in a message") {
  for (const auto* yaml : {"secretValues: {p: 'CANARY!'}", "secretValues: {p: 123456}"}) {
    Tree tree;
    const auto said = read(yaml, tree);
    REQUIRE(said.error_count() == 1);
    CHECK(said.errors().front().text().find("CANARY") == std::string::npos);
    CHECK(said.errors().front().text().find("123456") == std::string::npos);
  }
}

TEST_CASE("fields that only the server writes are dropped with a warning") {
  Tree tree;
  const auto said = read("server: mine\n", tree);
  CHECK(said.ok());
  REQUIRE(said.warning_count() == 1);
  CHECK(said.warnings().front().place.line == 1);
  CHECK(tree.server.empty());
}

TEST_CASE("what is written reads back") {
  Tree tree;
  REQUIRE(read("replicas: 0\nbig: 7\nmaybe: false\nmemory: 100m\nborn: 2026-01-02T03:04:05Z\n"
               "leaves: [{name: a, target: 8080}]\nsecretValues: {p: aGVsbG8=}\nbest: {name: c}\n",
               tree)
              .ok());
  tree.seen = parse_time("2026-01-02T03:04:05.678901Z");
  tree.server = "ours";
  const auto document = encode_struct(schema_of<Tree>(), &tree);
  CHECK(write_json(document) ==
        R"({"title":"untitled","replicas":0,"big":7,"maybe":false,"memory":"100m",)"
        R"("born":"2026-01-02T03:04:05Z","seen":"2026-01-02T03:04:05.678901Z",)"
        R"("leaves":[{"name":"a","port":80,"target":8080}],"secretValues":{"p":"aGVsbG8="},)"
        R"("best":{"name":"c","port":80},"server":"ours"})");
  Tree again;
  REQUIRE(decode_struct(schema_of<Tree>(), document, &again));
  CHECK(diff_struct(schema_of<Tree>(), &tree, &again, {}).empty());
}

TEST_CASE("what was stored with an unknown field is corrupt") {
  const auto document = read_json(R"({"nothing":1})");
  REQUIRE(document);
  Tree tree;
  const auto status = decode_struct(schema_of<Tree>(), *document, &tree);
  REQUIRE(!status);
  CHECK(status.error().code == Code::corrupt);
}

TEST_CASE("differences are leaves, with keyed lists matched by key") {
  Tree before;
  Tree after;
  REQUIRE(read("replicas: 1\nlabels: {a: x, b: v}\nleaves: [{name: one}, {name: two}]\n", before)
              .ok());
  REQUIRE(read("replicas: 3\nlabels: {b: z, c: w}\n"
               "leaves: [{name: two, port: 81}, {name: one}]\nbest: {name: q}\n"
               "secretValues: {p: aGVsbG8=}\n",
               after)
              .ok());
  const auto changes = diff_struct(schema_of<Tree>(), &before, &after, {});
  const std::vector<FieldChange> expected{
      {"replicas", "1", "3"},        {"leaves[name=two].port", "80", "81"},
      {"labels.a", "x", ""},         {"labels.b", "v", "z"},
      {"labels.c", "", "w"},         {"secretValues.p", "", "(secret)"},
      {"best", "", R"({"name":"q","port":80})"}};
  REQUIRE(changes.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(changes[i].path == expected[i].path);
    CHECK(changes[i].before == expected[i].before);
    CHECK(changes[i].after == expected[i].after);
  }
}

TEST_CASE("names near to a mistyped one") {
  const std::vector<std::string_view> names{"replicas", "selector", "strategy", "template"};
  CHECK(nearest_name("replica", names) == "replicas");
  CHECK(nearest_name("Selector", names) == "selector");
  CHECK(nearest_name("tempalte", names) == "template");
  CHECK(nearest_name("banana", names).empty());
  CHECK(nearest_name("", names).empty());
}

TEST_CASE("rows are found by path") {
  const auto found = find_field(schema_of<Tree>(), "leaves.port");
  REQUIRE(found);
  CHECK((*found)->name == "port");
  const auto missing = find_field(schema_of<Tree>(), "leaves.prt");
  REQUIRE(!missing);
  CHECK(missing.error().fix == "did you mean port?");
  CHECK(!find_field(schema_of<Tree>(), ""));
  CHECK(!find_field(schema_of<Tree>(), "title.deeper"));
}

}  // namespace moored
