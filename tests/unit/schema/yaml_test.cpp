// The YAML and JSON readers: what reads as what, what is refused, and where.
#include <catch2/catch.hpp>

#include "schema/codec/scalar.hpp"
#include "schema/codec/text.hpp"

using namespace moored;

namespace {

// The only error of a text, or an error that says there was none.
Error only_error(std::string_view text, const TextLimits& limits = {}) {
  Diagnostics diagnostics;
  read_yaml(text, "f.yaml", diagnostics, limits);
  if (diagnostics.errors().empty()) return Error{Code::internal, "no error", {}, {}, {}};
  return diagnostics.errors().front();
}

Value only_document(std::string_view text) {
  Diagnostics diagnostics;
  auto documents = read_yaml(text, "f.yaml", diagnostics);
  for (const auto& error : diagnostics.errors()) INFO(error.text());
  REQUIRE(diagnostics.ok());
  REQUIRE(documents.size() == 1);
  return documents.front();
}

Value value_of_one(const std::string& text) {
  Value value;
  value.type = Value::Type::map;
  value.put("text", Value::of_text(text));
  return value;
}

}  // namespace

TEST_CASE("plain scalars read as Kubernetes reads YAML 1.1") {
  struct Row {
    const char* text;
    Value::Type type;
    const char* scalar;
  };
  const Row rows[] = {
      {"y", Value::Type::boolean, "true"},      {"Yes", Value::Type::boolean, "true"},
      {"ON", Value::Type::boolean, "true"},     {"true", Value::Type::boolean, "true"},
      {"n", Value::Type::boolean, "false"},     {"off", Value::Type::boolean, "false"},
      {"~", Value::Type::null, ""},             {"Null", Value::Type::null, ""},
      {"0x1F", Value::Type::integer, "31"},     {"0o17", Value::Type::integer, "15"},
      {"-00", Value::Type::integer, "0"},       {"-0x0", Value::Type::integer, "0"},
      {"0E615", Value::Type::real, "0"},        {".0e9", Value::Type::real, "0.0"},
      {"-0e-9", Value::Type::real, "0"},        {"-0.", Value::Type::real, "0"},
      {"-0.0", Value::Type::real, "-0.0"},      {"-0", Value::Type::integer, "0"},
      {"017", Value::Type::integer, "15"},      {"0b11", Value::Type::integer, "3"},
      {"1_000", Value::Type::integer, "1000"},  {"-5", Value::Type::integer, "-5"},
      {"+7", Value::Type::integer, "7"},        {"0", Value::Type::integer, "0"},
      {"08", Value::Type::real, "8"},           {"1.5", Value::Type::real, "1.5"},
      {"1e3", Value::Type::real, "1e3"},        {".5", Value::Type::real, "0.5"},
      {"-00.50", Value::Type::real, "-0.50"},   {"+1.", Value::Type::real, "1"},
      {"1.e+3", Value::Type::real, "1e+3"},     {"-.5E2", Value::Type::real, "-0.5E2"},
      {"089", Value::Type::real, "89"},         {"1.0e3", Value::Type::real, "1.0e3"},
      {".inf", Value::Type::real, ".inf"},      {"2024-01-01", Value::Type::text, "2024-01-01"},
      {"1:30", Value::Type::text, "1:30"},      {"nginx:1.25", Value::Type::text, "nginx:1.25"},
      {"tRuE", Value::Type::text, "tRuE"},      {"_1", Value::Type::text, "_1"},
      {"-", Value::Type::text, "-"},            {"1.2.3", Value::Type::text, "1.2.3"},
      {"99999999999999999999", Value::Type::integer, "99999999999999999999"},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    const auto value = codec::resolve_plain(row.text);
    CHECK(value.type == row.type);
    CHECK(value.scalar == row.scalar);
  }
}

TEST_CASE("quoted and block scalars are always text") {
  const auto document = only_document("a: 'true'\nb: \"1\"\nc: |\n  on\n");
  for (const auto* key : {"a", "b", "c"}) {
    INFO(key);
    CHECK(document.find(key)->type == Value::Type::text);
  }
  CHECK(document.find("c")->scalar == "on\n");
}

TEST_CASE("escapes of characters beyond ASCII are UTF-8") {
  Diagnostics diagnostics;
  const auto documents =
      read_yaml("a: \"x\\N\\_\\L\\P\\xe9\\u2028\"\n"
                "b: \"\xc3\x85\xe0\xa3\x85\\Ny\xc2\xa0\"\n", "t.yaml", diagnostics);
  REQUIRE(documents.size() == 1);
  CHECK(documents[0].find("a")->scalar ==
        "x\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xe2\x80\xa8");
  CHECK(documents[0].find("b")->scalar == "\xc3\x85\xe0\xa3\x85\xc2\x85y\xc2\xa0");
  const auto json = write_json(documents[0]);
  REQUIRE(read_json(json));
  CHECK(write_json(*read_json(json)) == json);
}

TEST_CASE("positions count from one and go on through documents") {
  Diagnostics diagnostics;
  const auto documents =
      read_yaml("# head\n---\na: 1\n---\n\n---\nb:\n  - c\n", "f.yaml", diagnostics);
  REQUIRE(diagnostics.ok());
  REQUIRE(documents.size() == 2);
  CHECK(documents[0].find("a")->mark.line == 3);
  CHECK(documents[0].find("a")->mark.column == 4);
  const auto& item = documents[1].find("b")->items.at(0);
  CHECK(item.mark.line == 8);
  CHECK(item.mark.column == 5);
}

TEST_CASE("document markers split the stream and nothing else does") {
  struct Row {
    const char* text;
    std::size_t documents;
  };
  const Row rows[] = {{"", 0},
                      {"# only a comment\n", 0},
                      {"---\n---\n---\n", 0},
                      {"a: 1\n", 1},
                      {"--- \na: 1\n...\n", 1},
                      {"--- {a: 1}\n--- {b: 2}\n", 2},
                      {"a: |\n  ---\n", 1},
                      {"%YAML 1.1\n---\na: 1\n", 1},
                      {"a: 1\n...\n# end\n", 1},
                      {"\xef\xbb\xbf" "a: 1\r\n---\r\nb: 2\r\n", 2}};
  for (const auto& row : rows) {
    INFO(row.text);
    Diagnostics diagnostics;
    CHECK(read_yaml(row.text, "f.yaml", diagnostics).size() == row.documents);
    CHECK(diagnostics.ok());
  }
}

TEST_CASE("what is not plain data is refused with reason and place") {
  struct Row {
    const char* text;
    const char* reason;
    int line;
    int column;
    const char* field;
  };
  const Row rows[] = {
      {"a: 1\na: 2\n", "DuplicateKey", 2, 1, "a"},
      {"s:\n  x: 1\n  z: 2\n  x: 3\n", "DuplicateKey", 4, 3, "s.x"},
      {"a:\n\tb: 1\n", "SyntaxError", 2, 1, ""},
      {"a: 'never closed\n", "SyntaxError", 1, 4, ""},
      {"a: &x\n  b: *x\n", "AliasCycle", 2, 6, "a.b"},
      {"a: *nothing\n", "SyntaxError", 1, 4, ""},
      {"a: !!str 1\n", "SyntaxError", 1, 4, "a"},
      {"a: !custom {b: 1}\n", "SyntaxError", 1, 4, "a"},
      {"a: \"x\\0y\"\n", "ControlCharacter", 1, 4, "a"},
      {"a: \x01\n", "ControlCharacter", 1, 4, ""},
      {"a: \xff\n", "EncodingNotUTF8", 1, 4, ""},
      {"yes: 1\n", "WrongType", 1, 1, ""},
      {"? [a, b]\n: 1\n", "WrongType", 1, 3, ""},
      {"- a\nb: 1\n", "SyntaxError", 2, 1, ""},
  };
  for (const auto& row : rows) {
    const auto error = only_error(row.text);
    INFO(row.text << " gave " << error.text());
    CHECK(error.reason == row.reason);
    CHECK(error.place.file == "f.yaml");
    CHECK(error.place.line == row.line);
    CHECK(error.place.column == row.column);
    CHECK(error.place.field == row.field);
  }
}

TEST_CASE("the message of a tab names the tab") {
  CHECK(only_error("a:\n\tb: 1\n").message.find("tab") != std::string::npos);
}

TEST_CASE("UTF-16 is named") {
  const std::string wide("\xff\xfe" "a\0:\0", 6);
  const auto error = only_error(wide);
  CHECK(error.reason == "EncodingNotUTF8");
  CHECK(error.message.find("UTF-16") != std::string::npos);
}

TEST_CASE("a comma does not make documents for ever") {
  CHECK(only_error(",\n").reason == "SyntaxError");
}

TEST_CASE("limits are reached and named") {
  TextLimits limits;
  SECTION("bytes") {
    limits.file_bytes = 10;
    CHECK(only_error("a: 123456789\n", limits).reason == "SizeLimit");
  }
  SECTION("depth of flow lists") {
    CHECK(only_error("a: " + std::string(200, '[') + std::string(200, ']') + "\n").reason ==
          "NestingLimit");
  }
  SECTION("depth of dashes") {
    std::string dashes;
    for (int i = 0; i < 200; ++i) dashes += "- ";
    CHECK(only_error(dashes + "a\n").reason == "NestingLimit");
  }
  SECTION("nodes") {
    limits.nodes = 5;
    CHECK(only_error("[1, 2, 3, 4, 5, 6]\n", limits).reason == "LimitExceeded");
  }
  SECTION("keys") {
    CHECK(only_error(std::string(1500, 'k') + ": 1\n").reason == "SyntaxError");
    CHECK(only_error("? " + std::string(1500, 'k') + "\n: 1\n").reason == "LimitExceeded");
  }
  SECTION("aliases") {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 9; ++i) {
      const auto name = std::to_string(i);
      const auto before = "*a" + std::to_string(i - 1);
      bomb += "a" + name + ": &a" + name + " [" + before;
      for (int j = 0; j < 8; ++j) bomb += ", " + before;
      bomb += "]\n";
    }
    CHECK(only_error(bomb).reason == "AliasExpansionLimit");
  }
}

TEST_CASE("merge keys take what is not written") {
  const auto document = only_document(
      "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\n"
      "one: {<<: *base, b: 9}\ntwo:\n  <<: [*base, *other]\nquoted: {'<<': x}\n");
  CHECK(document.find("one")->find("a")->scalar == "1");
  CHECK(document.find("one")->find("b")->scalar == "9");
  CHECK(document.find("two")->find("b")->scalar == "2");
  CHECK(document.find("two")->find("c")->scalar == "4");
  CHECK(document.find("quoted")->find("<<")->scalar == "x");
}

TEST_CASE("numbers as keys keep what was written") {
  const auto document = only_document("8080: a\n'010': b\ntrue: c\n");
  CHECK(document.find("8080") != nullptr);
  CHECK(document.find("010") != nullptr);
  CHECK(document.find("true") != nullptr);
  CHECK(only_error("010: b\n").reason == "WrongType");
}

TEST_CASE("a broken document does not hide the others") {
  Diagnostics diagnostics;
  const auto documents =
      read_yaml("a: 1\n---\nb: 1\nb: 2\n---\nc: 3\n---\n[\n", "f.yaml", diagnostics);
  CHECK(documents.size() == 2);
  CHECK(diagnostics.error_count() == 2);
  CHECK(diagnostics.errors()[0].place.line == 4);
}

TEST_CASE("JSON obeys the same rules") {
  struct Row {
    const char* text;
    const char* reason;
    int line;
    int column;
  };
  const Row rows[] = {{"{\"a\": 1, \"a\": 2}", "DuplicateKey", 1, 10},
                      {"{\"a\": 1,}", "SyntaxError", 1, 9},
                      {"{\n \"a\": tru\n}", "SyntaxError", 2, 10},
                      {"", "SyntaxError", 1, 1},
                      {"{} {}", "SyntaxError", 1, 4},
                      {"{\"a\": \"\\u0000\"}", "ControlCharacter", 1, 7},
                      {R"({"a": "\u8d3d\ude15"})", "EncodingNotUTF8", 1, 7},
                      {R"({"a": "x\ude03"})", "EncodingNotUTF8", 1, 7},
                      {R"({"\udfff": 1})", "EncodingNotUTF8", 1, 2},
                      {R"({"a": "\ud83d"})", "SyntaxError", 1, 14},
                      {"{\"a\": NaN}", "SyntaxError", 1, 7}};
  for (const auto& row : rows) {
    INFO(row.text);
    const auto value = read_json(row.text, "f.json");
    REQUIRE(!value);
    INFO(value.error().text());
    CHECK(value.error().reason == row.reason);
    CHECK(value.error().place.line == row.line);
    CHECK(value.error().place.column == row.column);
  }
}

TEST_CASE("JSON positions, escapes and numbers survive") {
  const auto value = read_json("{\"k\": [\"\\ud83d\\ude00\", 1.50, -3, true, null]}");
  REQUIRE(value);
  const auto& items = value->find("k")->items;
  CHECK(items[0].scalar == "\xf0\x9f\x98\x80");
  CHECK(items[0].mark.column == 8);
  CHECK(items[1].scalar == "1.50");
  CHECK(write_json(*value) == "{\"k\":[\"\xf0\x9f\x98\x80\",1.50,-3,true,null]}");
}

TEST_CASE("numbers of YAML are written as JSON reads them") {
  Diagnostics diagnostics;
  const auto documents =
      read_yaml("[08, .5, +1., -.5E2, .NAN, -.inf, 0x1F]\n", "f.yaml", diagnostics);
  REQUIRE(documents.size() == 1);
  const auto json = write_json(documents[0]);
  CHECK(json == "[8,0.5,1,-0.5E2,\".NAN\",\"-.inf\",31]");
  const auto huge = read_yaml("[5e888, 1e-888, " + std::string(400, '5') + "]", "f.yaml",
                              diagnostics);
  REQUIRE(huge.size() == 1);
  REQUIRE(read_json(write_json(huge[0])));
  CHECK(write_json(huge[0]).compare(0, 8, "[\"5e888\"") == 0);
  const auto again = read_json(json);
  REQUIRE(again);
  CHECK(write_json(*again) == json);
}

TEST_CASE("deep JSON ends in an error and not in a crash") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const auto value = read_json(deep);
  REQUIRE(!value);
  CHECK(value.error().reason == "NestingLimit");
}

TEST_CASE("text that YAML has no characters for is written with escapes", "[yaml]") {
  for (const std::string text : {"qu\u00e9\f", "\x7f", "a\xc2\x85" "b", "\xe2\x80\xa8x",
                                 "\xe2\x80\xa9", "\xef\xbb\xbf", "x\xef\xbf\xbf",
                                 "two\nlines\x7f", "plain \u00e9"}) {
    const auto yaml = write_yaml(value_of_one(text));
    Diagnostics diagnostics;
    const auto read = read_yaml(yaml, "written.yaml", diagnostics);
    INFO(yaml);
    REQUIRE(diagnostics.ok());
    REQUIRE(read.size() == 1);
    CHECK(write_json(read[0]) == write_json(value_of_one(text)));
  }
  CHECK(write_yaml(value_of_one("plain \u00e9")) == "text: plain \u00e9\n");
}

TEST_CASE("written YAML reads back as the same tree") {
  const char* texts[] = {
      "{\"a\":\"yes\",\"b\":\"1\",\"c\":\"\",\"d\":\" x\",\"e\":\"x: y\",\"f\":\"# no\"}",
      "{\"list\":[1,[2,3],{\"k\":\"v\",\"n\":null},[],{}],\"empty\":{},\"none\":[]}",
      "{\"block\":\"one\\ntwo\\n\",\"keep\":\"one\\n\\n\",\"strip\":\"a\\nb\",\"tab\":\"a\\tb\"}",
      "{\"date\":\"2024-01-01\",\"time\":\"1:30\",\"dash\":\"-x\",\"star\":\"*x\",\"q\":\"'\"}",
      "{\"key: odd\":{\"<<\":\"m\"},\"nested\":[[[\"deep\"]]],\"---\":\"...\"}",
      "\"scalar\"",
  };
  for (const auto* text : texts) {
    const auto value = read_json(text);
    REQUIRE(value);
    const auto yaml = write_yaml(*value);
    INFO(yaml);
    Diagnostics diagnostics;
    const auto documents = read_yaml(yaml, "w.yaml", diagnostics);
    for (const auto& error : diagnostics.errors()) INFO(error.text());
    REQUIRE(documents.size() == 1);
    CHECK(write_json(documents.front()) == write_json(*value));
  }
}
