// The unpacker: what lands where, and what is refused. Hostile archives only ever meet a directory
// of the test's own, with a canary beside it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/image/merged_tree.hpp"
#include "runtime/image/unpack.hpp"
#include "tests/unit/runtime/image_archive.hpp"

using namespace moored;
using namespace moored::test;

namespace {

// A target and layers below it, inside a directory whose other contents must not change.
class Target {
 public:
  Target() {
    fs::create_directory(scratch_ / "target");
    write(scratch_ / "canary", "untouched");
    write(scratch_ / "etc/shadow", "secret of the node");
  }
  std::string target() const { return scratch_ / "target"; }
  std::string at(const std::string& name) const { return target() + '/' + name; }
  bool clean() const {
    std::size_t count = 0;
    for (const auto& row : fs::recursive_directory_iterator(scratch_.path())) {
      const auto path = row.path().string();
      const bool own = path.rfind(target(), 0) == 0 || path.rfind(scratch_ / "lower", 0) == 0;
      if (!own && path != scratch_ / "source") ++count;
    }
    return count == 3 && read(scratch_ / "canary") == "untouched" &&
           read(scratch_ / "etc/shadow") == "secret of the node";
  }
  std::string lower(int number) const { return scratch_ / ("lower" + std::to_string(number)); }

  Result<image::UnpackReport> unpack(const std::string& archive,
                                     const std::vector<std::string>& lowers = {},
                                     const image::LayerLimits& limits = {}) {
    write(scratch_ / "source", archive);
    const UniqueFd source(open((scratch_ / "source").c_str(), O_RDONLY));
    const UniqueFd directory(open(target().c_str(), O_RDONLY | O_DIRECTORY));
    image::UnpackRequest request;
    request.source = source.get();
    request.target = directory.get();
    request.limits = limits;
    std::vector<UniqueFd> held;
    for (const auto& path : lowers) {
      held.emplace_back(open(path.c_str(), O_RDONLY | O_DIRECTORY));
      request.lowers.push_back(held.back().get());
    }
    return image::unpack(request);
  }
  Result<image::UnpackReport> unpack(const std::vector<TarFile>& files,
                                     const std::vector<std::string>& lowers = {}) {
    return unpack(make_tar(files), lowers);
  }

 private:
  ImageScratch scratch_;
};

mode_t mode_of(const std::string& path) {
  struct stat state {};
  return lstat(path.c_str(), &state) == 0 ? state.st_mode & 07777U : 0;
}
bool is_whiteout(const std::string& path) {
  struct stat state {};
  return lstat(path.c_str(), &state) == 0 && image::is_whiteout(state);
}
bool is_opaque(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY));
  return image::is_opaque(fd.get());
}
bool exists(const std::string& path) {
  return fs::exists(fs::symlink_status(path));
}

std::string reason(const Result<image::UnpackReport>& result) {
  return result ? "none" : result.error().reason;
}

}  // namespace

TEST_CASE("an ordinary layer is unpacked with modes, links and times", "[image]") {
  Target place;
  auto dated = tar_file("etc/conf", "text", 0640);
  dated.entry.mtime_seconds = 1234567890;
  auto tree = tar_directory("var/lib/", 0711);
  tree.entry.mtime_seconds = 1000000000;
  const auto report =
      place.unpack({tar_directory("./"), tree, dated, tar_file("var/lib/x", "y"),
                    tar_file("bin/tool", "#!", 04755), tar_symlink("bin/sh", "tool"),
                    tar_hardlink("bin/same", "/bin/tool")});
  REQUIRE(report);
  CHECK(report->entries == 7);
  CHECK(report->file_bytes == 7);
  CHECK(read(place.at("etc/conf")) == "text");
  CHECK(mode_of(place.at("etc/conf")) == 0640);
  CHECK(mode_of(place.at("var/lib")) == 0711);
  CHECK(mode_of(place.at("bin")) == 0755);  // its entry is missing: made with the usual mode
  CHECK(fs::read_symlink(place.at("bin/sh")) == "tool");
  CHECK(fs::hard_link_count(place.at("bin/same")) == 2);
  struct stat state {};
  REQUIRE(stat(place.at("etc/conf").c_str(), &state) == 0);
  CHECK(state.st_mtim.tv_sec == 1234567890);
  REQUIRE(stat(place.at("var/lib").c_str(), &state) == 0);
  CHECK(state.st_mtim.tv_sec == 1000000000);
  if (geteuid() == 0) CHECK(mode_of(place.at("bin/tool")) == 04755);
}

TEST_CASE("compression is told by its magic and the digest is that of the tar", "[image]") {
  const auto tar = make_tar({tar_file("a", std::string(100000, 'x')), tar_file("b", "y")});
  const auto half = tar.size() / 2;
  struct Row {
    const char* what;
    std::string bytes;
  };
  const Row rows[] = {
      {"plain", tar},
      {"gzip", gzip(tar)},
      {"two gzip members", gzip(tar.substr(0, half)) + gzip(tar.substr(half))},
      {"zstd", zstd(tar)},
      {"two zstd frames", zstd(tar.substr(0, half)) + zstd(tar.substr(half))},
      {"zstd after a skippable frame",
       std::string("\x50\x2a\x4d\x18\x04\0\0\0abcd", 12) + zstd(tar)},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Target place;
    const auto report = place.unpack(row.bytes);
    REQUIRE(report);
    CHECK(report->digest == digest_of(tar));
    CHECK(report->compressed_bytes == static_cast<std::int64_t>(row.bytes.size()));
    CHECK(read(place.at("b")) == "y");
  }
}

TEST_CASE("bytes behind the end of the tar belong to the digest", "[image]") {
  Target place;
  const auto tar = make_tar({tar_file("a", "x")}) + "more";
  const auto report = place.unpack(gzip(tar));
  REQUIRE(report);
  CHECK(report->digest == digest_of(tar));
}

TEST_CASE("damaged streams are refused", "[image]") {
  const auto tar = make_tar({tar_file("a", std::string(5000, 'x'))});
  const auto packed = gzip(tar);
  auto flipped = packed;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x55);
  auto bad_sum = tar;
  bad_sum[0] = 'b';
  const std::pair<const char*, std::string> rows[] = {
      {"cut gzip", packed.substr(0, packed.size() - 20)},
      {"cut zstd", zstd(tar).substr(0, 15)},
      {"flipped bit", flipped},
      {"trailing bytes that are no gzip member", packed + "garbage"},
      {"wrong checksum", bad_sum},
      {"cut tar", tar.substr(0, 1000)},
      {"no tar at all", std::string(4096, 'q')},
  };
  for (const auto& [what, bytes] : rows) {
    INFO(what);
    Target place;
    CHECK(reason(place.unpack(bytes)) == "ManifestInvalid");
    CHECK(place.clean());
  }
}

TEST_CASE("nothing leaves the target", "[image]") {
  struct Row {
    const char* what;
    std::vector<TarFile> files;
    const char* reason;    // none: allowed, confined
    const char* lands_at;  // nullptr: nowhere
  };
  const Row rows[] = {
      {"name with ..", {tar_file("../canary", "x")}, "LayerEscape", nullptr},
      {"name with .. inside", {tar_file("a/../../canary", "x")}, "LayerEscape", nullptr},
      {"absolute name", {tar_file("/etc/shadow", "x")}, "none", "etc/shadow"},
      {"many slashes", {tar_file("///etc//./shadow", "x")}, "none", "etc/shadow"},
      {"link to the root, then through it",
       {tar_symlink("a", "/"), tar_file("a/canary", "x")},
       "none",
       "canary"},
      {"link upwards, then through it",
       {tar_symlink("a", "../.."), tar_file("a/canary", "x")},
       "none",
       "canary"},
      {"chain of links",
       {tar_symlink("a", "b"), tar_symlink("b", "../c"), tar_file("a/file", "x")},
       "none",
       "c/file"},
      {"circle of links",
       {tar_symlink("a", "b"), tar_symlink("b", "a"), tar_file("a/file", "x")},
       "ManifestInvalid",
       nullptr},
      {"directory through a link",
       {tar_symlink("a", "/etc"), tar_directory("a/sub", 0700)},
       "none",
       "etc/sub"},
      {"file over a link", {tar_symlink("a", "/canary"), tar_file("a", "x")}, "none", "a"},
      {"mode through a link",
       {tar_symlink("a", "/../canary"), tar_directory("a", 0777)},
       "none",
       "a"},
      {"name below a file", {tar_file("a", "x"), tar_file("a/b", "y")}, "ManifestInvalid", nullptr},
      {"hard link upwards", {tar_hardlink("a", "../../etc/shadow")}, "LayerEscape", nullptr},
      {"hard link to what is not there",
       {tar_hardlink("a", "/etc/shadow")},
       "LayerEscape",
       nullptr},
      {"hard link to the root", {tar_hardlink("a", "/")}, "LayerEscape", nullptr},
      {"hard link to a directory",
       {tar_directory("d"), tar_hardlink("a", "d")},
       "LayerEscape",
       nullptr},
      {"hard link through a link",
       {tar_symlink("up", ".."), tar_hardlink("a", "up/etc/shadow")},
       "LayerEscape",
       nullptr},
      {"directory replaced by a link",
       {tar_directory("d"), tar_file("d/x", "1"), tar_symlink("d", "/"), tar_file("d/canary", "2")},
       "none",
       "canary"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Target place;
    CHECK(reason(place.unpack(row.files)) == row.reason);
    CHECK(place.clean());
    if (row.lands_at != nullptr) CHECK(exists(place.at(row.lands_at)));
  }
}

TEST_CASE("a later entry of another type takes the place of the earlier one", "[image]") {
  Target place;
  REQUIRE(place.unpack({tar_file("a", "file"), tar_directory("a"), tar_file("a/in", "1"),
                        tar_directory("b"), tar_file("b/in", "2"), tar_file("b", "file"),
                        tar_file("c", "first"), tar_file("c", "last"), tar_symlink("d", "c"),
                        tar_file("d", "own"), tar_directory("e"), tar_file("e/x", "1"),
                        tar_symlink("e", "a"), tar_file("e/y", "2")}));
  CHECK(read(place.at("a/in")) == "1");
  CHECK(read(place.at("b")) == "file");
  CHECK(read(place.at("c")) == "last");
  CHECK(read(place.at("d")) == "own");
  CHECK(read(place.at("a/y")) == "2");
  CHECK_FALSE(exists(place.at("a/x")));
}

TEST_CASE("whiteouts hide what is below and nothing else", "[image]") {
  if (geteuid() != 0) {
    WARN("skipped: whiteouts need root");
    return;
  }
  Target place;
  write(place.lower(1) + "/gone", "x");
  write(place.lower(1) + "/dir/old", "x");
  write(place.lower(1) + "/dir2/old", "x");
  const std::vector<std::string> lowers{place.lower(1)};
  SECTION("a name") {
    REQUIRE(place.unpack({tar_file(".wh.gone", ""), tar_file("dir/.wh.old", "")}, lowers));
    CHECK(is_whiteout(place.at("gone")));
    CHECK(is_whiteout(place.at("dir/old")));
    CHECK(read(place.lower(1) + "/gone") == "x");
  }
  SECTION("everything, whatever the order") {
    REQUIRE(place.unpack({tar_file("dir/new", "1"), tar_file("dir/.wh..wh..opq", ""),
                          tar_file("dir2/.wh..wh..opq", ""), tar_file("dir2/new", "2")},
                         lowers));
    CHECK(is_opaque(place.at("dir")));
    CHECK(is_opaque(place.at("dir2")));
    CHECK(read(place.at("dir/new")) == "1");
    CHECK(read(place.at("dir2/new")) == "2");
  }
  SECTION("a name of this layer stays, and what it covers is hidden") {
    REQUIRE(
        place.unpack({tar_file("gone", "new"), tar_file(".wh.gone", ""), tar_directory("dir"),
                      tar_file("dir/new", "1"), tar_file(".wh.dir", ""), tar_file(".wh.dir2", ""),
                      tar_directory("dir2"), tar_file("dir2/new", "2")},
                     lowers));
    CHECK(read(place.at("gone")) == "new");
    CHECK(is_opaque(place.at("dir")));
    CHECK(read(place.at("dir/new")) == "1");
    CHECK(is_opaque(place.at("dir2")));
    CHECK(read(place.at("dir2/new")) == "2");
  }
  SECTION("the root") {
    REQUIRE(place.unpack({tar_file(".wh..wh..opq", ""), tar_file("new", "1")}, lowers));
    CHECK(is_opaque(place.target()));
  }
  SECTION("notes of other storages mean nothing") {
    REQUIRE(place.unpack({tar_directory(".wh..wh.plnk"), tar_file(".wh..wh.aufs", "")}, lowers));
    CHECK(fs::is_empty(place.target()));
  }
  SECTION("a hard link as a whiteout") {
    REQUIRE(place.unpack({tar_file("a", "x"), tar_hardlink(".wh.gone", "a")}, lowers));
    CHECK(is_whiteout(place.at("gone")));
  }
  SECTION("without a layer below there is nothing to hide") {
    REQUIRE(place.unpack({tar_file(".wh.gone", ""), tar_file(".wh..wh..opq", "")}));
    CHECK(fs::is_empty(place.target()));
  }
  CHECK(place.clean());
}

TEST_CASE("impossible whiteouts are refused", "[image]") {
  for (const char* name : {".wh.", ".wh..", ".wh...", "sub/.wh..", "sub/.wh.."}) {
    INFO(name);
    Target place;
    CHECK(reason(place.unpack({tar_directory("sub"), tar_file(name, "")})) == "ManifestInvalid");
    CHECK(place.clean());
  }
}

TEST_CASE("missing parents and hard links come from the layers below", "[image]") {
  Target place;
  write(place.lower(1) + "/usr/bin/tool", "below");
  write(place.lower(1) + "/srv/hidden", "x");
  fs::create_directory_symlink("usr/bin", place.lower(1) + "/bin");
  fs::permissions(place.lower(1) + "/usr", fs::perms(0750));
  const std::vector<std::string> lowers{place.lower(1)};
  SECTION("mode of a parent") {
    REQUIRE(place.unpack({tar_file("usr/new", "x")}, lowers));
    CHECK(mode_of(place.at("usr")) == 0750);
  }
  SECTION("a link below is followed, so that the image's own layout stays") {
    REQUIRE(place.unpack({tar_file("bin/other", "x")}, lowers));
    CHECK(read(place.at("usr/bin/other")) == "x");
    CHECK_FALSE(exists(place.at("bin")));
  }
  SECTION("hard link into a lower layer") {
    REQUIRE(place.unpack({tar_hardlink("opt/tool", "bin/tool")}, lowers));
    CHECK(read(place.at("opt/tool")) == "below");
    CHECK(read(place.at("usr/bin/tool")) == "below");
    CHECK(fs::hard_link_count(place.at("opt/tool")) == 2);
    CHECK(fs::hard_link_count(place.lower(1) + "/usr/bin/tool") == 1);
  }
  if (geteuid() == 0) {
    SECTION("hard link to what an upper layer removed") {
      Target upper;
      write(upper.lower(1) + "/srv/file", "x");
      fs::create_directories(upper.lower(2));
      REQUIRE(mknod((upper.lower(2) + "/srv").c_str(), S_IFCHR, makedev(0, 0)) == 0);
      CHECK(reason(upper.unpack({tar_hardlink("a", "srv/file")},
                                {upper.lower(2), upper.lower(1)})) == "LayerEscape");
    }
  }
}

TEST_CASE("devices are left out and said, pipes and owners kept", "[image]") {
  Target place;
  TarFile device;
  device.entry.type = LayerEntry::Type::device;
  device.entry.name = "dev/sda";
  TarFile pipe;
  pipe.entry.type = LayerEntry::Type::fifo;
  pipe.entry.name = "run/pipe";
  pipe.entry.mode = 0620;
  auto owned = tar_file("home/x", "y");
  owned.entry.uid = geteuid() == 0 ? 3000000 : geteuid();
  owned.entry.gid = getegid();
  const auto report = place.unpack({device, pipe, owned});
  REQUIRE(report);
  CHECK_FALSE(exists(place.at("dev/sda")));
  REQUIRE(report->warnings.size() == 1);
  CHECK(report->warnings.front() == "the device /dev/sda was left out");
  CHECK(fs::is_fifo(place.at("run/pipe")));
  CHECK(mode_of(place.at("run/pipe")) == 0620);
  struct stat state {};
  REQUIRE(stat(place.at("home/x").c_str(), &state) == 0);
  CHECK(state.st_uid == owned.entry.uid);
}

TEST_CASE("attributes that steer the overlay are dropped", "[image]") {
  if (geteuid() != 0) {
    WARN("skipped: trusted attributes need root");
    return;
  }
  Target place;
  auto one = tar_file("tool", "x", 0755);
  // cap_net_bind_service=ep, in the second version of the kernel's format
  const std::string capability("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  one.entry.attributes = {{"security.capability", capability},
                          {"trusted.overlay.redirect", "/etc"},
                          {"trusted.overlay.metacopy", ""},
                          {"user.overlay.opaque", "y"}};
  REQUIRE(place.unpack({one}));
  char names[1024];
  const auto size = listxattr(place.at("tool").c_str(), names, sizeof names);
  REQUIRE(size > 0);
  CHECK(std::string(names, static_cast<std::size_t>(size) - 1) == "security.capability");
}

TEST_CASE("limits stop the unpacking while it runs", "[image]") {
  Target place;
  image::LayerLimits limits;
  limits.bytes = 1U << 20U;
  limits.entries = 50;
  limits.ratio_free_bytes = 64U << 10U;
  std::vector<TarFile> many;
  for (int i = 0; i < 60; ++i)
    many.push_back(tar_file("f" + std::to_string(i), ""));
  auto liar = tar_file("a", "x");
  liar.entry.size_bytes = std::int64_t{1} << 62U;
  std::string deep;
  for (int i = 0; i < 300; ++i)
    deep += "d/";
  const std::pair<const char*, std::string> rows[] = {
      {"bytes", make_tar({tar_file("a", std::string((1U << 20U) + 1, '\0'))})},
      {"ratio", gzip(make_tar({tar_file("a", std::string(900U << 10U, '\0'))}))},
      {"entries", make_tar(many)},
      {"declared size", make_tar({liar})},
      {"depth", make_tar({tar_directory(deep)})},
      {"name", make_tar({tar_file(std::string(5000, 'n'), "")})},
      {"part", make_tar({tar_file(std::string(300, 'n'), "")})},
  };
  for (const auto& [what, bytes] : rows) {
    INFO(what);
    CHECK(reason(place.unpack(bytes, {}, limits)) == "LayerLimit");
  }
  CHECK(place.clean());
}

TEST_CASE("a report survives its way through the pipe", "[image]") {
  image::UnpackReport report{"sha256:abc", 1, 2, 3, 4, {"one", "two \"quoted\""}};
  const auto again = image::read_report(image::write_report(report));
  REQUIRE(again);
  CHECK(again->digest == report.digest);
  CHECK(again->entries == 3);
  CHECK(again->warnings == report.warnings);
  const auto failed = image::read_report(
      image::write_report(Unexpected(Error{Code::exhausted, "too much", "LayerLimit", {}, {}})));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::exhausted);
  CHECK(failed.error().reason == "LayerLimit");
  CHECK_FALSE(image::read_report("{}"));
  CHECK_FALSE(image::read_report("not json"));
}
