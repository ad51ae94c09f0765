#include "gitsync/repo/tree.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "gitsync/repo/names.hpp"

using namespace moored;
using namespace moored::git;

namespace {

// Objects in memory, under ids that count up.
class MemoryObjects final : public ObjectSource {
 public:
  ObjectId blob(const std::string& text) { return store(blobs_, text); }
  ObjectId tree(const std::vector<std::tuple<std::string, std::string, ObjectId>>& entries) {
    std::string raw;
    for (const auto& [mode, name, id] : entries) {
      raw += mode + ' ' + name + '\0';
      raw.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
    }
    return store(trees_, raw);
  }

  Result<std::string> read_tree(const ObjectId& id) override {
    reads.insert(id);
    return find(trees_, id);
  }
  Result<std::size_t> read_blob_size(const ObjectId& id) override {
    MOORED_TRY(const std::string text, find(blobs_, id));
    return text.size();
  }
  Result<std::string> read_blob(const ObjectId& id) override { return find(blobs_, id); }

  std::multiset<ObjectId> reads;

 private:
  using Store = std::map<ObjectId, std::string>;

  ObjectId store(Store& where, const std::string& text) {
    ObjectId id;
    id.bytes[0] = static_cast<std::uint8_t>(++count_ >> 8U);
    id.bytes[1] = static_cast<std::uint8_t>(count_ & 0xffU);
    where[id] = text;
    return id;
  }
  static Result<std::string> find(const Store& where, const ObjectId& id) {
    const auto found = where.find(id);
    if (found != where.end()) return found->second;
    return Unexpected(Error{Code::corrupt, "missing " + id.hex(), "ObjectMissing", {}, {}});
  }

  Store blobs_;
  Store trees_;
  unsigned count_ = 0;
};

std::vector<std::string> paths_of(const TreeListing& listing) {
  std::vector<std::string> paths;
  for (const auto& file : listing.files) paths.push_back(file.path);
  return paths;
}

std::vector<std::string> reasons_of(const TreeListing& listing) {
  std::vector<std::string> reasons;
  for (const auto& error : listing.diagnostics.errors()) {
    reasons.push_back(error.reason + ' ' + error.place.file);
  }
  return reasons;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("manifests are listed below the source path only", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("a: 1\n");
  const ObjectId hidden = objects.tree({{"100644", "ci.yaml", text}});
  const ObjectId inner = objects.tree({{"100644", "b.yml", text}, {"100644", "note.txt", text}});
  const ObjectId deploy = objects.tree({{"40000", ".github", hidden},
                                        {"100644", "a.yaml", text},
                                        {"40000", "inner", inner},
                                        {"100644", "kustomization.yaml", text},
                                        {"100644", "z.json", text}});
  const ObjectId root = objects.tree({{"40000", "deploy", deploy}, {"100644", "root.yaml", text}});
  TreeReader reader;
  const auto listing = reader.list(objects, root, "./deploy");
  REQUIRE(listing);
  CHECK(listing->diagnostics.ok());
  CHECK(paths_of(*listing) == Names{"deploy/a.yaml", "deploy/inner/b.yml", "deploy/z.json"});
  CHECK(listing->kustomizations == Names{"deploy/kustomization.yaml"});
  const auto all = reader.list(objects, root, "");
  REQUIRE(all);
  CHECK(all->files.size() == 4);
}

TEST_CASE("a second listing reads only the trees that changed", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("a: 1\n");
  const ObjectId left = objects.tree({{"100644", "l.yaml", text}});
  const ObjectId deep = objects.tree({{"100644", "d.yaml", text}});
  const ObjectId right = objects.tree({{"40000", "deep", deep}, {"100644", "r.yaml", text}});
  const ObjectId first = objects.tree({{"40000", "left", left}, {"40000", "right", right}});
  TreeReader reader;
  REQUIRE(reader.list(objects, first, ""));
  CHECK(reader.trees_read() == 4);
  const ObjectId changed = objects.tree({{"100644", "l2.yaml", text}});
  const ObjectId second = objects.tree({{"40000", "left", changed}, {"40000", "right", right}});
  objects.reads.clear();
  const auto listing = reader.list(objects, second, "");
  REQUIRE(listing);
  CHECK(paths_of(*listing) == Names{"left/l2.yaml", "right/deep/d.yaml", "right/r.yaml"});
  CHECK(reader.trees_read() == 2);
  CHECK(objects.reads.count(right) == 0);
  CHECK(objects.reads.count(deep) == 0);
  // And once more: what lies below an unchanged tree is still known.
  const ObjectId third = objects.tree({{"40000", "left", left}, {"40000", "right", right}});
  REQUIRE(reader.list(objects, third, ""));
  CHECK(reader.trees_read() == 2);
}

TEST_CASE("the source path must be a directory of the commit", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("../../../../../../etc");
  const ObjectId below = objects.tree({{"100644", "a.yaml", text}});
  const ObjectId root = objects.tree({{"40000", "apps", below},
                                      {"120000", "deploy", text},
                                      {"100644", "file", text}});
  struct Row {
    std::string path;
    std::string reason;
  };
  for (const auto& row : {Row{"nowhere", "PathNotFound"}, Row{"file", "PathNotFound"},
                          Row{"apps/more", "PathNotFound"}, Row{"../apps", "InvalidValue"},
                          Row{"deploy", "SymlinkRefused"}, Row{"deploy/x", "SymlinkRefused"}}) {
    CAPTURE(row.path);
    TreeReader reader;
    const auto listing = reader.list(objects, root, row.path);
    REQUIRE(listing);
    CHECK(listing->files.empty());
    REQUIRE(listing->diagnostics.errors().size() == 1);
    CHECK(listing->diagnostics.errors()[0].reason == row.reason);
    CHECK(listing->diagnostics.errors()[0].text().find("etc") == std::string::npos);
  }
}

TEST_CASE("links are followed inside the commit and nowhere else", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("kind: ConfigMap\n");
  const ObjectId common = objects.tree({{"100644", "real.txt", text}});
  const auto link = [&](const std::string& target) { return objects.blob(target); };
  const ObjectId root = objects.tree({{"120000", "abs.yaml", link("/etc/shadow")},
                                      {"120000", "chain.yaml", link("good.yaml")},
                                      {"40000", "common", common},
                                      {"120000", "dangling.yaml", link("nothing.yaml")},
                                      {"120000", "dir.yaml", link("common")},
                                      {"120000", "good.yaml", link("common/real.txt")},
                                      {"120000", "long.yaml", link(std::string(5000, 'x'))},
                                      {"120000", "loop-a.yaml", link("loop-b.yaml")},
                                      {"120000", "loop-b.yaml", link("loop-a.yaml")},
                                      {"120000", "out.yaml", link("../../../etc/passwd")},
                                      {"120000", "readme", link("/etc/passwd")},
                                      {"120000", "self.yaml", link("self.yaml")}});
  TreeReader reader;
  const auto listing = reader.list(objects, root, "");
  REQUIRE(listing);
  CHECK(paths_of(*listing) == Names{"chain.yaml", "good.yaml"});
  for (const auto& file : listing->files) CHECK(file.id == text);
  CHECK(reasons_of(*listing) ==
        Names{"SymlinkRefused abs.yaml", "SymlinkRefused dangling.yaml",
              "SymlinkRefused dir.yaml", "SymlinkRefused long.yaml",
              "SymlinkRefused loop-a.yaml", "SymlinkRefused loop-b.yaml",
              "SymlinkRefused out.yaml", "SymlinkRefused self.yaml"});
  for (const auto& error : listing->diagnostics.errors()) {
    CHECK(error.text().find("shadow") == std::string::npos);
    CHECK(error.text().find("passwd") == std::string::npos);
  }
}

TEST_CASE("eight links in a row are followed, nine are not", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("x");
  std::vector<std::tuple<std::string, std::string, ObjectId>> entries;
  for (int i = 1; i <= 9; ++i) {
    const std::string target = i == 1 ? "real" : "l" + std::to_string(i - 1) + ".yaml";
    entries.emplace_back("120000", "l" + std::to_string(i) + ".yaml", objects.blob(target));
  }
  entries.emplace_back("100644", "real", text);
  TreeReader reader;
  const auto listing = reader.list(objects, objects.tree(entries), "");
  REQUIRE(listing);
  CHECK(listing->files.size() == 8);
  CHECK(reasons_of(*listing) == Names{"SymlinkRefused l9.yaml"});
}

TEST_CASE("a tree bomb ends at a limit", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("# x\n");
  const std::string name = GENERATE(std::string("x.yaml"), std::string("x.txt"));
  ObjectId tree = objects.tree({{"100644", name, text}});
  for (int level = 0; level < 9; ++level) {
    std::vector<std::tuple<std::string, std::string, ObjectId>> entries;
    for (char c = '0'; c <= '9'; ++c) entries.emplace_back("40000", std::string(1, c), tree);
    tree = objects.tree(entries);
  }
  TreeReader reader;
  const auto listing = reader.list(objects, tree, "");
  REQUIRE(listing);
  CHECK(reasons_of(*listing) == Names{"TreeLimit "});
  CHECK(objects.reads.size() <= 11);
}

TEST_CASE("a tree too deep ends at a limit, known or not", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("# x\n");
  ObjectId tree = objects.tree({{"100644", "a.yaml", text}});
  for (int level = 0; level < 40; ++level) tree = objects.tree({{"40000", "d", tree}});
  TreeReader reader;
  const auto shallow = reader.list(objects, tree, "");
  REQUIRE(shallow);
  CHECK(shallow->diagnostics.ok());
  // The same tree, known from before, 30 directories further down.
  for (int level = 0; level < 30; ++level) tree = objects.tree({{"40000", "d", tree}});
  const auto deep = reader.list(objects, tree, "");
  REQUIRE(deep);
  CHECK(reasons_of(*deep) == Names{"TreeLimit "});
  for (int level = 0; level < 3000; ++level) tree = objects.tree({{"40000", "d", tree}});
  TreeReader fresh;
  objects.reads.clear();
  const auto abyss = fresh.list(objects, tree, "");
  REQUIRE(abyss);
  CHECK(reasons_of(*abyss) == Names{"TreeLimit "});
  CHECK(objects.reads.size() <= kMaxTreeDepth + 2);
}

TEST_CASE("a path too long ends at a limit", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("# x\n");
  ObjectId tree = objects.tree({{"100644", "a.yaml", text}});
  for (int level = 0; level < 10; ++level) {
    tree = objects.tree({{"40000", std::string(120, 'd'), tree}});
  }
  TreeReader reader;
  const auto listing = reader.list(objects, tree, "");
  REQUIRE(listing);
  CHECK(reasons_of(*listing) == Names{"TreeLimit "});
}

TEST_CASE("submodules are warned about, with their place", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("a: 1\n");
  const ObjectId root = objects.tree({{"100644", "a.yaml", text}, {"160000", "sub", text}});
  TreeReader reader;
  const auto listing = reader.list(objects, root, "");
  REQUIRE(listing);
  CHECK(listing->diagnostics.ok());
  REQUIRE(listing->diagnostics.warnings().size() == 1);
  CHECK(listing->diagnostics.warnings()[0].reason == "SubmoduleNotSupported");
  CHECK(listing->diagnostics.warnings()[0].place.file == "sub");
}

TEST_CASE("problems carry the whole path and come in one pass", "[tree]") {
  MemoryObjects objects;
  const ObjectId text = objects.blob("a: 1\n");
  const ObjectId below = objects.tree({{"40000", ".GIT", text}, {"104755", "suid", text}});
  const ObjectId root = objects.tree({{"40000", "..", text}, {"40000", "app", below}});
  TreeReader reader;
  const auto listing = reader.list(objects, root, "");
  REQUIRE(listing);
  CHECK(reasons_of(*listing) == Names{"UnsafeTreeEntry ..", "UnsafeTreeEntry app/.GIT",
                                      "MalformedTree app/suid"});
  // A directory on the way to the source path is judged as well.
  const auto inner = reader.list(objects, root, "app");
  REQUIRE(inner);
  CHECK(reasons_of(*inner).front() == "UnsafeTreeEntry ..");
}

TEST_CASE("a tree that is missing fails the listing as a whole", "[tree]") {
  MemoryObjects objects;
  ObjectId missing;
  missing.bytes.fill(0x22);
  const ObjectId root = objects.tree({{"40000", "gone", missing}});
  TreeReader reader;
  const auto listing = reader.list(objects, root, "");
  REQUIRE_FALSE(listing);
  CHECK(listing.error().reason == "ObjectMissing");
  CHECK(listing.error().message.find("2222222") != std::string::npos);
}
