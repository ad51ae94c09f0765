#include "gitsync/load/loader.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "git_fixture.hpp"
#include "gitsync/load/unit_loader.hpp"
#include "gitsync/render/plain.hpp"
#include "schema/base/random.hpp"
#include "schema/model/core.hpp"

using namespace moored;
using namespace moored::git;

namespace {

using Names = std::vector<std::string>;

std::string config_map(const std::string& name, const std::string& space = {}) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n" +
         (space.empty() ? "" : "  namespace: " + space + "\n") + "data:\n  a: x\n";
}

// Files in memory; the id is the content.
class MemoryFiles final : public FileReader {
 public:
  void put(const std::string& path, const std::string& text) { files_[path] = text; }
  void remove(const std::string& path) { files_.erase(path); }
  ManifestSet list() const {
    ManifestSet set;
    for (const auto& [path, text] : files_) {
      const bool render = path == "kustomization.yaml" || path == "kustomization.yml" ||
                          path == "sub/kustomization.yaml";
      if (render) {
        set.kustomizations.push_back(path);
      } else {
        set.files.push_back({path, text});
      }
    }
    return set;
  }
  Result<std::size_t> read_size(const ManifestFile& file) override {
    const auto pretended = sizes.find(file.path);
    return pretended == sizes.end() ? files_.at(file.path).size() : pretended->second;
  }
  Result<std::string> read(const ManifestFile& file) override {
    reads.push_back(file.path);
    if (file.path == broken) {
      return Unexpected(Error{Code::corrupt, "the object is missing", "ObjectMissing", {}, {}});
    }
    return files_.at(file.path);
  }

  Names reads;
  std::string broken;
  std::map<std::string, std::size_t> sizes;

 private:
  std::map<std::string, std::string> files_;
};

class FixedClock final : public Clock {
 public:
  Now now() const override { return {Time(std::chrono::seconds(1'700'000'000)), MonoTime{}}; }
};

LoadedSet load(ManifestLoader& loader, MemoryFiles& files, const LoadOptions& options = {}) {
  ManifestSet manifests = files.list();
  check_plain(manifests.kustomizations, manifests.diagnostics);
  auto set = loader.load(manifests, files, options, FixedClock{});
  if (!set) FAIL(set.error().text());
  return *std::move(set);
}

Names names_of(const LoadedSet& set) {
  Names names;
  for (const auto& file : set.files) {
    for (const auto& object : file->objects) {
      names.push_back(object.key().text() + ' ' + object.provenance().file + ':' +
                      std::to_string(object.provenance().line));
    }
  }
  return names;
}

Names errors_of(const LoadedSet& set) {
  Names errors;
  for (const auto& error : set.diagnostics.errors()) {
    errors.push_back(error.reason + ' ' + error.place.file + ':' +
                     std::to_string(error.place.line));
  }
  return errors;
}

}  // namespace

TEST_CASE("documents become objects with file and line", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", config_map("one") + "---\n# only a comment\n---\n" + config_map("two", "shop"));
  files.put("b.json", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"}})");
  files.put("empty.yaml", "");
  files.put("list.yml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n"
                        "  metadata: {name: four}\n- apiVersion: v1\n  kind: Namespace\n"
                        "  metadata: {name: space}\n");
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(errors_of(set).empty());
  CHECK(set.complete);
  CHECK(names_of(set) == Names{"ConfigMap/default/one a.yaml:1", "ConfigMap/shop/two a.yaml:10",
                               "ConfigMap/default/three b.json:1",
                               "ConfigMap/default/four list.yml:4",
                               "Namespace/space list.yml:7"});
  CHECK(format_time(set.validated_at) == "2023-11-14T22:13:20Z");
}

TEST_CASE("a list of one kind is a list like any other", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", "apiVersion: v1\nkind: ConfigMapList\nmetadata: {}\nitems:\n"
                      "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n");
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(errors_of(set).empty());
  CHECK(names_of(set) == Names{"ConfigMap/default/one a.yaml:5"});
  files.put("a.yaml", "apiVersion: v1\nkind: WishList\nmetadata: {name: none}\n");
  CHECK(errors_of(load(loader, files)) == Names{"UnknownKind a.yaml:2"});
}

TEST_CASE("a target namespace takes every namespaced object", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", config_map("one") + "---\n" + config_map("two", "shop") +
                          "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n");
  ManifestLoader loader;
  const LoadedSet as_written = load(loader, files);
  CHECK(names_of(as_written)[0] == "ConfigMap/default/one a.yaml:1");
  const LoadedSet set = load(loader, files, {"team", {}, {}, {}});
  CHECK(names_of(set) == Names{"ConfigMap/team/one a.yaml:1", "ConfigMap/team/two a.yaml:8",
                               "Namespace/space a.yaml:16"});
}

TEST_CASE("unchanged files are never parsed again", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", config_map("one"));
  files.put("b.yaml", config_map("two"));
  files.put("copy-of-b.txt.yaml", config_map("two", "other"));
  ManifestLoader loader;
  CHECK(load(loader, files).blobs_read == 3);
  const LoadedSet before = load(loader, files);
  CHECK(before.blobs_read == 0);
  files.reads.clear();
  files.put("b.yaml", config_map("three"));
  const LoadedSet set = load(loader, files);
  CHECK(set.blobs_read == 1);
  CHECK(files.reads == Names{"b.yaml"});
  CHECK(set.files[0] == before.files[0]);
  CHECK(set.files[1] != before.files[1]);
  // What went away is forgotten: the cache holds one load and no more.
  files.put("b.yaml", config_map("two"));
  CHECK(load(loader, files).blobs_read == 1);
}

TEST_CASE("one content under two paths is read once and told apart", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", "a: [\n");
  files.put("b.yaml", "a: [\n");
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(files.reads == Names{"a.yaml"});
  REQUIRE(errors_of(set).size() == 2);
  CHECK(set.diagnostics.errors()[0].place.file == "a.yaml");
  CHECK(set.diagnostics.errors()[1].place.file == "b.yaml");
  CHECK_FALSE(set.complete);
}

TEST_CASE("all errors of all files come in one pass", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nspec: {}\n");
  files.put("b.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  files.put("c.yaml", "a: [\n");
  files.put("d.json", "{\"a\": 1,}");
  files.put("e.yaml", config_map("fine"));
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK_FALSE(set.complete);
  const Names errors = errors_of(set);
  REQUIRE(errors.size() >= 4);
  CHECK(errors[0] == "UnknownField a.yaml:4");
  CHECK(errors[1] == "LfsPointer b.yaml:1");
  CHECK(errors[2].compare(0, 18, "SyntaxError c.yaml") == 0);
  CHECK(errors.back().compare(0, 18, "SyntaxError d.json") == 0);
}

TEST_CASE("errors come in the order of files and lines", "[loader]") {
  // The first is found when the commit is judged as a whole, the others when files are read.
  const std::string host = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
                           "  hostPID: true\n  containers: [{name: c, image: a}]\n";
  MemoryFiles files;
  files.put("a.yaml", host + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
                             "data:\n  k: x\n  ../up: up\n  a/b: b\n");
  files.put("b.yaml", host + "  hostIPC: true\n");
  files.put("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nspec: {}\n");
  ManifestLoader loader;
  const Names errors = errors_of(load(loader, files));
  CHECK(errors == Names{"Forbidden a.yaml:5", "InvalidName a.yaml:13", "InvalidName a.yaml:14",
                        "DuplicateObject b.yaml:3", "Forbidden b.yaml:5", "Forbidden b.yaml:7",
                        "UnknownField c.yaml:4"});
}

TEST_CASE("errors past the limit are counted", "[loader]") {
  MemoryFiles files;
  std::string keys = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n";
  for (int i = 0; i < 130; ++i) keys += "  /k" + std::to_string(i) + ": v\n";
  files.put("a.yaml", keys);
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(set.diagnostics.error_count() == 130);
  CHECK(set.diagnostics.errors().size() == Diagnostics::kMaxDiagnostics);
}

TEST_CASE("sizes are judged before anything is read", "[loader]") {
  MemoryFiles files;
  files.put("big.yaml", config_map("big"));
  files.put("giant.yaml", config_map("giant"));
  files.sizes["big.yaml"] = kMaxManifestBytes + 1;
  files.sizes["giant.yaml"] = 1U << 30U;
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(files.reads.empty());
  CHECK(errors_of(set)[0] == "SizeLimit big.yaml:0");
  CHECK(errors_of(set)[1] == "BlobLimit giant.yaml:0");
}

TEST_CASE("all manifests together have a limit", "[loader]") {
  MemoryFiles files;
  for (int i = 0; i < 30; ++i) {
    const std::string name = "f" + std::to_string(100 + i) + ".yaml";
    files.put(name, "# " + name + "\n");
    files.sizes[name] = kMaxManifestBytes;
  }
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK_FALSE(set.complete);
  CHECK(errors_of(set) == Names{"SizeLimit f121.yaml:0"});
}

TEST_CASE("lists are expanded to a depth, and hold nothing else", "[loader]") {
  const auto nested = [](int depth) {
    std::string text = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}})";
    for (int i = 0; i < depth; ++i) {
      text = R"({"apiVersion":"v1","kind":"List","items":[)" + text + "]}";
    }
    return text;
  };
  struct Row {
    std::string text;
    Names errors;
    std::size_t objects;
  };
  const std::vector<Row> rows{
      {nested(8), {}, 1},
      {nested(9), {"NestingLimit l.json:1"}, 0},
      {R"({"apiVersion":"v1","kind":"List","items":null})", {}, 0},
      {R"({"apiVersion":"v1","kind":"List"})", {}, 0},
      {R"({"apiVersion":"v1","kind":"List","items":{}})", {"WrongType l.json:1"}, 0},
      {R"({"apiVersion":"v1","kind":"List","spec":1})", {"UnknownField l.json:1"}, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    MemoryFiles files;
    files.put("l.json", row.text);
    ManifestLoader loader;
    const LoadedSet set = load(loader, files);
    CHECK(errors_of(set) == row.errors);
    CHECK(names_of(set).size() == row.objects);
  }
}

TEST_CASE("a directory that wants to be rendered is refused", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", config_map("one"));
  files.put("kustomization.yaml", "resources: [a.yaml]\n");
  ManifestLoader loader;
  const LoadedSet one = load(loader, files);
  CHECK_FALSE(one.complete);
  REQUIRE(one.diagnostics.errors().size() == 1);
  CHECK(one.diagnostics.errors()[0].reason == "KustomizeNotSupported");
  CHECK(one.diagnostics.errors()[0].place.file == "kustomization.yaml");
  files.put("kustomization.yml", "resources: []\n");
  CHECK(errors_of(load(loader, files)) == Names{"AmbiguousKustomization kustomization.yml:1"});
}

TEST_CASE("a file that cannot be read fails the load as a whole", "[loader]") {
  MemoryFiles files;
  files.put("a.yaml", config_map("one"));
  files.put("b.yaml", config_map("two"));
  files.broken = "b.yaml";
  ManifestLoader loader;
  const auto set = loader.load(files.list(), files, {}, FixedClock{});
  REQUIRE_FALSE(set);
  CHECK(set.error().reason == "ObjectMissing");
  CHECK(set.error().place.file == "b.yaml");
  // The next load starts with nothing lost.
  files.broken.clear();
  CHECK(load(loader, files).complete);
}

TEST_CASE("attributes never change what is read", "[loader]") {
  TempDirectory directory;
  TestRepository repository(directory / "r.git");
  const std::string sha = repository.push(
      {{".gitattributes", "*.yaml text eol=crlf ident filter=evil\n"},
       {"z.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: attrs}\n"
                  "data:\n  id: \"$Id$\"\n  two: |\n    line1\n    line2\n"}});
  auto mirror = Mirror::open(*check_source_url(repository.path(), true), {});
  REQUIRE(mirror);
  UnitLoader unit;
  const auto manifests = unit.list(**mirror, sha, "");
  REQUIRE(manifests);
  const auto set = unit.load(**mirror, *manifests, {}, FixedClock{});
  REQUIRE(set);
  REQUIRE(set->complete);
  const auto& map = set->files.at(0)->objects.at(0).as<ConfigMap>();
  CHECK(map.data.at("id") == "$Id$");
  CHECK(map.data.at("two") == "line1\nline2\n");
}

// What a load says and gives, in one text.
std::string told_by(const LoadedSet& set) {
  std::string text = set.complete ? "complete" : "refused";
  for (const auto& name : names_of(set)) text += '\n' + name;
  for (const auto& error : set.diagnostics.errors()) {
    text += "\nerror " + error.text() + ' ' + error.place.file;
  }
  for (const auto& warning : set.diagnostics.warnings()) text += "\nwarning " + warning.text();
  return text;
}

TEST_CASE("a loader that remembers says what a new one says, whatever comes", "[loader]") {
  const auto content = [](SeededRandom& random) -> std::string {
    const std::string name = "n" + std::to_string(random.below(60));
    switch (random.below(40)) {
      case 0: return "a: [\n";
      case 1: return config_map(name) + "spec: 1\n";
      case 2: return config_map(name, "other") + "---\n" + config_map(name + "2");
      case 3: return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name +
                     "\n  annotations: {sync.moored.dev/hosts: 'web-*'}\n";
      case 4: return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name +
                     "\n  uid: x\n";  // a warning
      case 5: return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
                     "}\nspec: {hostNetwork: true, containers: [{name: c, image: a}]}\n";
      default: return config_map(name);
    }
  };
  SeededRandom random(5);
  ManifestLoader loader;
  MemoryFiles files;
  int complete = 0;
  for (int turn = 0; turn < 300; ++turn) {
    for (std::size_t edits = random.below(3); edits > 0; --edits) {
      const std::string path = "f" + std::to_string(random.below(8)) +
                               (random.below(40) == 0 ? ".json" : ".yaml");
      if (random.below(3) == 0) {
        files.remove(path);
      } else {
        files.put(path, content(random));
      }
    }
    LoadOptions options;
    if (random.below(20) == 0) options.target_namespace = "team";
    if (random.below(20) == 0) options.rights.namespaces = {"other"};
    if (random.below(20) == 0) options.host = "db-1";
    if (random.below(20) == 0) options.policy.max_objects = 3;
    ManifestLoader fresh;
    const std::string wanted = told_by(load(fresh, files, options));
    CHECK(told_by(load(loader, files, options)) == wanted);
    complete += wanted.rfind("complete", 0) == 0 ? 1 : 0;
  }
  CHECK(complete > 20);
  CHECK(complete < 280);
}

TEST_CASE("many files are parsed side by side and keep their order", "[loader]") {
  MemoryFiles files;
  Names wanted;
  for (int i = 0; i < 1'000; ++i) {
    const std::string number = std::to_string(1'000 + i);
    files.put("f" + number + ".yaml", config_map("m" + number) + "# " + std::string(200, 'x') + "\n");
    wanted.push_back("ConfigMap/default/m" + number + " f" + number + ".yaml:1");
  }
  ManifestLoader loader;
  const LoadedSet set = load(loader, files);
  CHECK(set.complete);
  CHECK(set.blobs_read == 1'000);
  CHECK(names_of(set) == wanted);
}
