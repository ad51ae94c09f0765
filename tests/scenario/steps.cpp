#include "tests/scenario/steps.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "reconciler/controllers/pods.hpp"
#include "schema/model/cluster.hpp"

namespace moored::test {
namespace {

std::string text_of(const Value& map, const std::string& key, const std::string& fallback = {}) {
  const Value* found = map.find(key);
  return found == nullptr ? fallback : found->scalar;
}

int number_of(const Value& map, const std::string& key, int fallback = 0) {
  const std::string text = text_of(map, key);
  return text.empty() ? fallback : std::stoi(text);
}

std::string sha_of(const Value& map) {
  const std::string digits = text_of(map, "sha", "1");
  return std::string(40 - digits.size(), '0') + digits;
}

ObjectKey key_of_text(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char letter : text) {
    if (letter == '/') {
      parts.emplace_back();
    } else {
      parts.back() += letter;
    }
  }
  for (const Kind* kind : all_kinds()) {
    if (kind->kind != parts[0]) continue;
    if (parts.size() == 2) return {kind, "", parts[1]};
    REQUIRE(parts.size() == 3);
    return {kind, parts[1], parts[2]};
  }
  FAIL("no such kind: " << text);
  return {};
}

// Takes the next part off a path: name, [3], [key=text] or ["name with dots"].
std::string take_part(std::string& path) {
  if (path[0] == '[') {
    const bool quoted = path.rfind("[\"", 0) == 0;
    const std::size_t end = quoted ? path.find("\"]") + 1 : path.find(']');
    std::string part = path.substr(0, end + 1);
    path.erase(0, end + 1);
    return part;
  }
  const std::size_t end = std::min(path.find_first_of(".["), path.size());
  std::string part = path.substr(0, end);
  path.erase(0, end);
  return part;
}

const Value* find_item(const Value& list, const std::string& part) {
  const std::string inside = part.substr(1, part.size() - 2);
  const std::size_t equals = inside.find('=');
  if (equals == std::string::npos) {
    const std::size_t index = std::stoul(inside);
    return index < list.items.size() ? &list.items[index] : nullptr;
  }
  for (const Value& item : list.items) {
    const Value* found = item.find(inside.substr(0, equals));
    if (found != nullptr && found->scalar == inside.substr(equals + 1)) return &item;
  }
  return nullptr;
}

const Value* find_path(const Value& root, std::string path) {
  const Value* at = &root;
  while (at != nullptr && !path.empty()) {
    if (path[0] == '.') path.erase(0, 1);
    const std::string part = take_part(path);
    if (part.rfind("[\"", 0) == 0) {
      at = at->find(part.substr(2, part.size() - 4));
    } else {
      at = part[0] == '[' ? find_item(*at, part) : at->find(part);
    }
  }
  return at;
}

// One run of a file: the world and what happened since the last step that acts.
class Run {
 public:
  void step(const std::string& word, const Value& value);

 private:
  bool act(const std::string& word, const Value& value);
  void check(const std::string& word, const Value& value);
  void commit(const Value& value);
  void refuse(const Value& value);
  void fetch(const Value& value);
  void tell_pod(const Value& value);
  void check_field(const Value& value, bool whole);
  void check_count(const Value& value);
  void check_event(const Value& value);
  void check_writes(const Value& value);
  void name_revision(const std::string& sha);

  World world_;
  TreeLoaded last_;
};

void Run::step(const std::string& word, const Value& value) {
  static const std::vector<std::string> kChecks{"expect", "contains", "count", "absent",
                                                "event",  "writes",   "nothing"};
  const bool checks = std::find(kChecks.begin(), kChecks.end(), word) != kChecks.end();
  if (checks) return check(word, value);
  if (word == "commit" || word == "advance" || word == "pod" || word == "gone" ||
      word == "refuse" || word == "repeat" || word == "fetch" || word == "confirm") {
    world_.writes.clear();
    world_.events.clear();
  }
  if (!act(word, value)) FAIL("no such word: " << word);
}

bool Run::act(const std::string& word, const Value& value) {
  if (word == "commit") {
    commit(value);
  } else if (word == "refuse") {
    refuse(value);
  } else if (word == "fetch") {
    fetch(value);
  } else if (word == "confirm") {
    world_.post(OperatorActed{"confirm", value.scalar, 0, "moorctl[1]", "done"});
  } else if (word == "settle") {
    world_.settle();
  } else if (word == "converge") {
    world_.converge();
  } else if (word == "advance") {
    const auto duration = parse_duration(value.scalar);
    REQUIRE(duration);
    world_.advance(*duration);
  } else if (word == "missing") {
    world_.missing_images.clear();
    for (const Value& image : value.items) world_.missing_images.insert(image.scalar);
  } else if (word == "pod") {
    tell_pod(value);
  } else if (word == "gone") {
    for (const Object& pod : world_.store.list(kind_of<Pod>())) {
      if (pod.meta().deletion_timestamp) world_.report_gone(pod);
    }
  } else if (word == "repeat") {
    world_.post(last_);
  } else {
    return false;
  }
  return true;
}

void Run::check(const std::string& word, const Value& value) {
  if (word == "expect") return check_field(value, true);
  if (word == "contains") return check_field(value, false);
  if (word == "count") return check_count(value);
  if (word == "absent") {
    CHECK_FALSE(world_.store.find(key_of_text(value.scalar)));
  } else if (word == "event") {
    check_event(value);
  } else if (word == "writes") {
    check_writes(value);
  } else {
    CHECK(world_.writes.empty());
  }
}

void Run::name_revision(const std::string& sha) {
  SourceObserved seen;
  seen.source = key_of<GitRepository>("moored-system", "default");
  seen.revision = revision_of(sha);
  seen.commit.sha = sha;
  seen.seen_at = world_.now;
  seen.fetched_at = world_.now;
  world_.post(seen);
}

void Run::commit(const Value& value) {
  Diagnostics diagnostics;
  std::vector<Object> objects;
  const Value* list = value.find("objects");
  for (const Value& document : list == nullptr ? std::vector<Value>{} : list->items) {
    const std::string file = text_of(document, "file", "app.yaml");
    auto object = decode_manifest(document, file, diagnostics);
    if (object) objects.push_back(object->with_provenance({"", "", "", file, document.mark.line}));
  }
  for (const Error& error : diagnostics.errors()) FAIL(error.text());
  last_ = world_.tree(objects, sha_of(value));
  name_revision(sha_of(value));
  world_.writes.clear();
  world_.post(last_);
}

void Run::refuse(const Value& value) {
  name_revision(sha_of(value));
  last_ = world_.tree({}, sha_of(value));
  last_.complete = false;
  last_.diagnostics.add_error({Code::invalid, text_of(value, "message"), text_of(value, "reason"),
                               {text_of(value, "file"), number_of(value, "line"), 0, ""}, ""});
  world_.writes.clear();
  world_.post(last_);
}

void Run::fetch(const Value& value) {
  SourceObserved failed;
  failed.source = key_of<GitRepository>("moored-system", "default");
  failed.seen_at = world_.now;
  failed.fetched_at = world_.now;
  failed.error = Error{Code::unavailable, text_of(value, "message"), text_of(value, "reason"),
                       {}, ""};
  world_.post(failed);
}

void Run::tell_pod(const Value& value) {
  const auto pods = world_.active_pods(text_of(value, "namespace", "default"));
  const auto nth = static_cast<std::size_t>(number_of(value, "nth"));
  REQUIRE(nth < pods.size());
  world_.report(pods[nth], text_of(value, "phase", "Running"),
                text_of(value, "ready", "true") == "true", text_of(value, "waiting"));
}

void Run::check_field(const Value& value, bool whole) {
  const auto object = world_.store.find(key_of_text(text_of(value, "object")));
  INFO(text_of(value, "object") << " at " << text_of(value, "at"));
  REQUIRE(object.has_value());
  const Value tree = encode(*object);
  const Value* found = find_path(tree, text_of(value, "at"));
  const Value* wanted = value.find(whole ? "is" : "text");
  REQUIRE(wanted != nullptr);
  if (wanted->type == Value::Type::null) {
    CHECK(found == nullptr);
    return;
  }
  REQUIRE(found != nullptr);
  if (whole) {
    CHECK(found->scalar == wanted->scalar);
  } else {
    CHECK_THAT(found->scalar, Catch::Contains(wanted->scalar));
  }
}

void Run::check_count(const Value& value) {
  const std::string name = text_of(value, "kind");
  const std::string space = text_of(value, "namespace", "default");
  const bool active = text_of(value, "active") == "true";
  int count = 0;
  for (const auto& [key, object] : world_.store.all()) {
    if (key.kind->kind != name || (key.kind->namespaced && key.namespace_name != space)) continue;
    count += !active || is_active(object.as<Pod>()) ? 1 : 0;
  }
  INFO("count of " << name);
  CHECK(count == number_of(value, "is"));
}

void Run::check_event(const Value& value) {
  const std::string reason = text_of(value, "reason");
  const std::string message = text_of(value, "message");
  std::string told;
  bool found = false;
  for (const EventNote& note : world_.events) {
    told += note.reason + ": " + note.message + "\n";
    found = found ||
            (note.reason == reason && note.message.find(message) != std::string::npos);
  }
  INFO("told were:\n" << told);
  CHECK(found);
}

void Run::check_writes(const Value& value) {
  std::vector<std::string> wanted;
  for (const Value& item : value.items) wanted.push_back(item.scalar);
  std::vector<std::string> got;
  for (const Write& write : world_.writes) {
    if (write.type == Write::Type::status || write.key.kind == &kind_of<Event>()) continue;
    got.push_back((write.type == Write::Type::put ? "put " : "remove ") + write.key.text());
  }
  std::sort(wanted.begin(), wanted.end());
  std::sort(got.begin(), got.end());
  CHECK(got == wanted);
}

}  // namespace

void run_scenario(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Diagnostics diagnostics;
  const auto documents = read_yaml(text, path, diagnostics);
  for (const Error& error : diagnostics.errors()) FAIL(error.text());
  REQUIRE(documents.size() == 1);
  INFO(path << ": " << text_of(documents[0], "scenario"));
  const Value* steps = documents[0].find("steps");
  REQUIRE(steps != nullptr);
  REQUIRE_FALSE(steps->items.empty());
  Run run;
  for (const Value& step : steps->items) {
    REQUIRE(step.members.size() == 1);
    INFO("step at line " << step.mark.line);
    run.step(step.members[0].first.scalar, step.members[0].second);
  }
}

}  // namespace moored::test
