// Objects without the way through text: each short cut against the long way it stands for.
#include "schema/codec/stored.hpp"

#include <catch2/catch.hpp>
#include <filesystem>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using testing::decode_good;

// Every object of the examples, and some that moored makes of them.
std::vector<Object> read_examples() {
  std::vector<Object> objects;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(MOORED_SOURCE_DIR "/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto text = read_file(entry.path().string());
    REQUIRE(text);
    Diagnostics diagnostics;
    for (const auto& document : read_yaml(*text, {}, diagnostics)) {
      if (auto object = decode_manifest(document, {}, diagnostics)) objects.push_back(*object);
    }
  }
  Pod pod;
  pod.metadata.name = "p";
  pod.status.start_time = Time(std::chrono::microseconds(1'700'000'000'123'456));
  pod.status.conditions.push_back({"Ready", "True", 2, {}, {}, pod.status.start_time, "r", "m"});
  objects.push_back(make_object(pod));
  Event event;
  event.metadata.name = "e";
  event.event_time = pod.status.start_time;
  event.first_timestamp = pod.status.start_time;
  objects.push_back(make_object(event));
  return objects;
}

Object as_text_has_it(const Object& object) {
  const auto value = read_json(write_json(encode(object)));
  REQUIRE(value);
  const auto back = decode_stored(object.kind(), *value);
  REQUIRE(back);
  return *back;
}

Object as_stored(const Object& object) {
  auto body = object.kind().copy(object.body());
  make_stored(object.kind().schema(), body.get());
  return Object(object.kind(), std::move(body), object.provenance());
}

TEST_CASE("what is stored is what would be read back") {
  const auto objects = read_examples();
  REQUIRE(objects.size() > 5);
  for (const auto& object : objects) {
    INFO(object.key().text());
    const Object stored = as_stored(object);
    const Object back = as_text_has_it(object);
    CHECK(is_same_object(stored, back));
    CHECK(encode_json(stored) == encode_json(back));
    // The way by a value tree gives the same text.
    CHECK(encode_json(object) == write_json(encode(object)));
  }
}

TEST_CASE("times keep what is written of them") {
  const Time time(std::chrono::microseconds(1'700'000'000'123'456));
  Event event;
  event.event_time = time;       // written with six decimals
  event.first_timestamp = time;  // whole seconds
  const Object object = make_object(event);
  const Object stored = as_stored(object);
  CHECK(stored.as<Event>().event_time == time);
  CHECK(stored.as<Event>().first_timestamp == std::chrono::floor<std::chrono::seconds>(time));
  CHECK(is_same_object(object, stored));
  event.event_time = time + std::chrono::microseconds(1);
  CHECK_FALSE(is_same_object(make_object(event), stored));
}

TEST_CASE("two objects are the same exactly when their texts are") {
  const auto objects = read_examples();
  for (const auto& one : objects) {
    for (const auto& other : objects) {
      if (&one.kind() != &other.kind()) continue;
      INFO(one.key().text() + " and " + other.key().text());
      CHECK(is_same_object(one, other) == (encode_json(one) == encode_json(other)));
      CHECK(is_same_object(one, other) == diff(one, other, true).empty());
    }
  }
}

TEST_CASE("rows that are left out do not count and are not copied") {
  const auto deployment = [](const std::string& image) {
    return decode_good(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n"
        "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
        "    spec: {containers: [{name: c, image: " + image + "}]}\n");
  };
  const Object one = deployment("a:1");
  auto body = one.kind().copy(one.body());
  auto& other = *static_cast<Deployment*>(body.get());
  other.status.replicas = 3;
  other.metadata.labels["tier"] = "x";
  const Object two(one.kind(), body);
  CHECK_FALSE(is_same_object(one, two));
  CHECK_FALSE(is_same_object(one, two, {"status"}));
  CHECK(is_same_object(one, two, {"status", "metadata"}));
  copy_rows(one.kind().schema(), deployment("a:2").body(), body.get(), {"status"});
  CHECK(other.status.replicas == 3);
  CHECK(other.metadata.labels.empty());
  CHECK(other.spec.pod_template.spec.containers.at(0).image == "a:2");
}

}  // namespace
}  // namespace moored
