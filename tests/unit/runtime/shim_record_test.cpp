// The flat codec between daemon and shim, and what travels in it.
#include <catch2/catch.hpp>
#include <string>

#include "runtime/shim/order.hpp"
#include "runtime/shim/record.hpp"
#include "runtime/shim/step.hpp"
#include "schema/base/random.hpp"

using namespace moored;
using namespace moored::shim;

namespace {

std::string random_text(Random& random, std::size_t longest) {
  std::string text;
  const auto length = random.below(longest);
  for (std::uint64_t i = 0; i < length; ++i)
    text += static_cast<char>(random.below(256));
  return text;
}

}  // namespace

TEST_CASE("a record is one flat JSON object") {
  Record record;
  record.set("op", "CREATE").set("id", 7).set("ok", true).set("list", std::vector<std::string>{"a", "b\"c"});
  CHECK(record.text() == R"({"op":"CREATE","id":7,"ok":true,"list":["a","b\"c"]})");
  const auto back = Record::parse(record.text());
  REQUIRE(back);
  CHECK(back->text_of("op") == "CREATE");
  CHECK(back->number_of("id") == 7);
  CHECK(back->flag_of("ok"));
  CHECK(back->list_of("list") == std::vector<std::string>{"a", "b\"c"});
}

TEST_CASE("what is empty is left out and reads as empty") {
  Record record;
  record.set("a", "").set("b", 0).set("c", false).set("d", std::vector<std::string>{});
  CHECK(record.text() == "{}");
  CHECK(record.text_of("a").empty());
  CHECK(record.number_of("a") == 0);
  CHECK_FALSE(record.flag_of("x"));
  CHECK(record.list_of("x").empty());
  record.set("a", "1").set("a", "2").set("b", 5).set("b", 0);
  CHECK(record.text() == R"({"a":"2"})");
}

TEST_CASE("a value of another type reads as empty") {
  const auto record = Record::parse(R"({"a":"1","b":1})");
  REQUIRE(record);
  CHECK(record->number_of("a") == 0);
  CHECK(record->text_of("b").empty());
}

TEST_CASE("spaces and escapes of other writers are read") {
  const auto record =
      Record::parse("  { \"a\" : \"x\\n\\t\\/\\u0041\" , \"b\" : [ \"1\" , \"2\" ] } ");
  REQUIRE(record);
  CHECK(record->text_of("a") == "x\n\t/A");
  CHECK(record->list_of("b").size() == 2);
}

TEST_CASE("what is not a flat object is refused") {
  for (const char* text : {"",
                           "{",
                           "}",
                           "[]",
                           "null",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{\"a\":1}x",
                           "{\"a\":{}}",
                           "{\"a\":[1]}",
                           "{\"a\":[\"x\"",
                           "{\"a\":\"x}",
                           "{\"a\":tru}",
                           "{\"a\":1,\"a\":2}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u00\"}",
                           "{\"a\":\"\\uffff\"}",
                           "{\"a\":99999999999999999999}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":-}"}) {
    INFO(text);
    const auto record = Record::parse(text);
    REQUIRE_FALSE(record);
    CHECK(record.error().code == Code::corrupt);
  }
}

TEST_CASE("any bytes come back as they were") {
  SeededRandom random(42);
  for (int i = 0; i < 500; ++i) {
    Record record;
    const auto text = random_text(random, 200);
    std::vector<std::string> list;
    for (std::uint64_t k = random.below(5); k > 0; --k)
      list.push_back(random_text(random, 20));
    const auto number = static_cast<std::int64_t>(random.next());
    record.set("text", text).set("list", list).set("number", number);
    const auto line = record.text();
    REQUIRE(line.find('\n') == std::string::npos);
    const auto back = Record::parse(line);
    REQUIRE(back);
    REQUIRE(back->text_of("text") == text);
    REQUIRE(back->list_of("list") == list);
    REQUIRE(back->number_of("number") == number);
  }
}

TEST_CASE("a cut or changed record is read or refused, never more") {
  SeededRandom random(7);
  const std::string line = Record().set("a", "xyz").set("b", 12).set("c", std::vector<std::string>{"1", "2"}).text();
  for (std::size_t length = 0; length < line.size(); ++length) {
    REQUIRE_FALSE(Record::parse(line.substr(0, length)));
  }
  for (int i = 0; i < 2000; ++i) {
    std::string changed = line;
    changed[random.below(changed.size())] = static_cast<char>(random.below(256));
    const auto record = Record::parse(changed);
    if (record) REQUIRE(Record::parse(record->text()));
  }
}

TEST_CASE("a record that ends too early is not read past its end") {
  for (const std::string text : {"", "{\"a", "{\"a\":\"x", "{\"a\":\"\\u00", "{\"a\":tr", "{\"a\":f"}) {
    const auto longer = text + "7777";  // what lies behind must not be taken for more of it
    const auto record = Record::parse(std::string_view(longer).substr(0, text.size()));
    INFO(text);
    REQUIRE_FALSE(record);
    const auto& said = record.error().message;
    const auto at = said.find("at byte ");
    REQUIRE(at != std::string::npos);
    CHECK(std::stoul(said.substr(at + 8)) <= text.size());
  }
}

TEST_CASE("steps travel with all their members") {
  for (int i = 0; i <= static_cast<int>(StepType::pause); ++i) {
    Step step;
    step.type = static_cast<StepType>(i);
    step.target = "/t";
    step.source = "s";
    step.sub_path = "p";
    step.options = "ro,nosuid";
    step.list = {"a", ""};
    step.number = ~0ULL;
    step.second = 3;
    const auto back = step_from(to_record(step));
    REQUIRE(back);
    CHECK(*back == step);
  }
  CHECK(step_from(Record().set("step", "fly")).error().code == Code::corrupt);
}

TEST_CASE("options are whole words") {
  Step step;
  step.options = "ro,nosuid,work=/x";
  CHECK(step.has_option("ro"));
  CHECK(step.has_option("nosuid"));
  CHECK_FALSE(step.has_option("no"));
  CHECK_FALSE(step.has_option("work"));
  step.options = "";
  CHECK_FALSE(step.has_option("ro"));
}

TEST_CASE("orders and states come back whole") {
  PodOrder pod{"uid", "/run/pods/uid", {"net=/n"}, {"ipc", "uts"}, "web-0"};
  CHECK(*pod_order_from(to_text(pod)) == pod);
  CHECK_FALSE(pod_order_from("{}\n"));
  CHECK_FALSE(pod_order_from(""));

  ContainerOrder order;
  order.name = "web";
  order.attempt = 3;
  order.id = "abc";
  order.directory = "/run/pods/uid/c/web/3";
  order.pid_namespace = "new";
  order.cgroup = "/sys/fs/cgroup/x";
  order.tasks_files = {"/sys/fs/cgroup/cpu/x/tasks"};
  order.oom_file = "/o";
  order.log_path = "/l";
  order.termination_path = "/t";
  order.oom_score_adjust = -997;
  order.uid = 4294967294U;
  order.gid = 5;
  order.tty = order.stdin_open = true;
  order.steps.resize(2);
  order.steps[1].type = StepType::execute;
  order.steps[1].list = {"/bin/sh", "-c", "echo \"x\"\n"};
  CHECK(*container_order_from(to_text(order)) == order);
  CHECK_FALSE(container_order_from(to_text(order).substr(0, to_text(order).find('\n') + 1)));

  ContainerState state;
  state.name = "web";
  state.attempt = 3;
  state.id = "abc";
  state.phase = "exited";
  state.pid = 99;
  state.start_time = 12345;
  state.created_micros = 1;
  state.started_micros = 2;
  state.finished_micros = 3;
  state.code = 137;
  state.signal = 9;
  state.oom_killed = state.acknowledged = true;
  state.start_error = "exec: no";
  state.message = std::string("\0\377 bye", 6);
  CHECK(container_state_from(to_record(state)) == state);
}
