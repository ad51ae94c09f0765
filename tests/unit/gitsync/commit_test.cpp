#include "gitsync/repo/commit.hpp"

#include <catch2/catch.hpp>

using namespace moored;
using namespace moored::git;

namespace {

const std::string kTree = "tree 0123456789abcdef0123456789abcdef01234567\n";
const std::string kParent = "parent 89abcdef0123456789abcdef0123456789abcdef\n";

Result<CommitHeader> parse(const std::string& raw) { return parse_commit(ObjectId{}, raw); }

}  // namespace

TEST_CASE("object ids are forty hexadecimal digits", "[object_id]") {
  const std::string text = "0123456789abcdef0123456789ABCDEF01234567";
  const auto id = ObjectId::from_hex(text);
  REQUIRE(id);
  CHECK(id->hex() == "0123456789abcdef0123456789abcdef01234567");
  CHECK(id->bytes[0] == 0x01);
  CHECK(id->bytes[19] == 0x67);
  CHECK(ObjectId::from_raw(std::string(20, '\xff') + "more").hex() == std::string(40, 'f'));
  for (const std::string& bad : {std::string(), text.substr(1), text + "0",
                                 "g123456789abcdef0123456789abcdef01234567" + std::string(),
                                 std::string(40, ' ')}) {
    CAPTURE(bad);
    CHECK_FALSE(ObjectId::from_hex(bad));
  }
  CHECK(ObjectId{} < *id);
  CHECK(ObjectIdHash()(*id) != ObjectIdHash()(ObjectId{}));
}

TEST_CASE("a commit's header is read", "[commit]") {
  const auto commit = parse(kTree + kParent + kParent +
                            "author A B <a@b> 1700000000 +0100\n"
                            "committer C <c@d> 1700000001 -2359\n"
                            "gpgsig -----BEGIN\n more\n -----END\n"
                            "\nSubject line\n\nBody author x\n");
  REQUIRE(commit);
  CHECK(commit->tree.hex() == "0123456789abcdef0123456789abcdef01234567");
  CHECK(commit->parents.size() == 2);
  CHECK(commit->author == "A B <a@b>");
  CHECK(commit->subject == "Subject line");
  REQUIRE(commit->committed_at);
  CHECK(format_time(*commit->committed_at) == "2023-11-14T22:13:21Z");
}

TEST_CASE("dates that are no dates are left out", "[commit]") {
  struct Row {
    std::string date;
    bool known;
  };
  for (const auto& row : {Row{"0 +0000", true}, Row{"253402300799 +0000", true},
                          Row{"253402300800 +0000", false}, Row{"-5 +0000", false},
                          Row{"99999999999999999999999 +0000", false}, Row{"soon", false},
                          Row{"", false}}) {
    CAPTURE(row.date);
    const auto commit = parse(kTree + "committer C <c@d> " + row.date + "\n\nx");
    REQUIRE(commit);
    CHECK(commit->committed_at.has_value() == row.known);
  }
}

TEST_CASE("odd commits are used as far as they go", "[commit]") {
  const auto bare = parse(kTree);
  REQUIRE(bare);
  CHECK(bare->author.empty());
  CHECK(bare->subject.empty());
  const auto nobody = parse(kTree + "author nobody at all\n\n");
  REQUIRE(nobody);
  CHECK(nobody->author == "nobody at all");
  const auto noisy = parse(kTree + "author E\x1b[2Jvil <e@x> 1 +0\n\n" + std::string(5000, 's'));
  REQUIRE(noisy);
  CHECK(noisy->author == "E\\x1b[2Jvil <e@x>");
  CHECK(noisy->subject == std::string(200, 's') + "…");
  // A parent line behind the header is text, not a parent.
  CHECK(parse(kTree + "\n" + kParent)->parents.empty());
}

TEST_CASE("a commit without a tree or with half a parent is corrupt", "[commit]") {
  for (const std::string& raw : {std::string(), std::string("\n"), "parent x\n" + kTree,
                                 std::string("tree 0123\n"), kTree + "parent 12\n",
                                 "tree  0123456789abcdef0123456789abcdef0123456\n" + kParent}) {
    CAPTURE(raw);
    const auto commit = parse(raw);
    REQUIRE_FALSE(commit);
    CHECK(commit.error().reason == "ObjectCorrupt");
    CHECK(commit.error().code == Code::corrupt);
  }
}
