// The content store: what may be imported, under which name, and what is left after a refusal.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/image/content_store.hpp"
#include "runtime/image/documents.hpp"
#include "runtime/image/layer_store.hpp"
#include "runtime/image/names.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/runtime/image_archive.hpp"

using namespace moored;
using namespace moored::test;
using image::ContentStore;

namespace {

struct Store {
  ImageScratch scratch;
  InlineUnpacker* unpacker = nullptr;  // owned by the store
  std::unique_ptr<ContentStore> store = open();

  std::unique_ptr<ContentStore> open(image::LayerLimits limits = {}) {
    auto worker = std::make_unique<InlineUnpacker>();
    unpacker = worker.get();
    auto opened = ContentStore::open({scratch / "images", limits}, std::move(worker));
    if (!opened) FAIL(opened.error().text());
    return *std::move(opened);
  }
  Result<std::vector<ImageReport>> import(const std::string& path, const std::string& name = {}) {
    return store->import({path, name, {}});
  }
  // Every file of the store, to be compared.
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& row : fs::recursive_directory_iterator(scratch / "images")) {
      out.push_back(row.path().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string content(const ImageReport& image, const std::string& name) const {
    for (const auto& layer : image.layers) {
      if (fs::exists(layer + '/' + name)) return read(layer + '/' + name);
    }
    return {};
  }
};

template <class T>
std::string reason(const Result<T>& result) {
  return result ? "none" : result.error().reason;
}

// Puts a directory into one tar, as archives of layouts are made.
std::string pack_directory(const std::string& root) {
  std::vector<TarFile> files;
  for (const auto& row : fs::recursive_directory_iterator(root)) {
    const auto name = fs::relative(row.path(), root).string();
    files.push_back(row.is_directory() ? tar_directory(name)
                                       : tar_file(name, read(row.path().string())));
  }
  return make_tar(files);
}

const std::string kBase =
    make_tar({tar_directory("bin"), tar_file("bin/run", "base", 0755), tar_file("etc/os", "one")});
const std::string kTop = make_tar({tar_file("etc/os", "two"), tar_file("app", "top")});

}  // namespace

TEST_CASE("names are completed as people expect", "[image]") {
  const std::pair<const char*, const char*> rows[] = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.25", "docker.io/library/nginx:1.25"},
      {"library/nginx", "docker.io/library/nginx:latest"},
      {"docker.io/library/nginx", "docker.io/library/nginx:latest"},
      {"guestbook/web:2", "docker.io/guestbook/web:2"},
      {"registry.test/web:1", "registry.test/web:1"},
      {"localhost/web", "localhost/web:latest"},
      {"localhost:5000/a/b", "localhost:5000/a/b:latest"},
  };
  for (const auto& [typed, full] : rows) {
    INFO(typed);
    const auto name = image::parse_image_name(typed);
    REQUIRE(name);
    CHECK(name->text() == full);
  }
  for (const char* bad : {"", "UPPER", "a b", "../x", "nginx:", "nginx@sha256:12", ":1", "a//b",
                          "nginx@md5:d41d8cd98f00b204e9800998ecf8427e"}) {
    INFO(bad);
    const auto name = image::parse_image_name(bad);
    REQUIRE_FALSE(name);
    CHECK(name.error().reason == "InvalidImageName");
  }
}

TEST_CASE("only well-formed digests are digests", "[image]") {
  const std::string hex(64, 'a');
  CHECK(image::is_digest("sha256:" + hex));
  for (const auto& bad : {"sha256:" + std::string(63, 'a'), "sha256:" + std::string(64, 'A'),
                          "md5:" + hex, "sha256:../" + std::string(61, 'a'), hex, std::string(),
                          "sha256:" + std::string(63, 'a') + std::string(1, '\0')}) {
    INFO(bad);
    CHECK_FALSE(image::is_digest(bad));
  }
}

TEST_CASE("chain ids follow the specification", "[image]") {
  const std::string a = "sha256:" + std::string(64, 'a');
  const std::string b = "sha256:" + std::string(64, 'b');
  const auto chains = image::make_chain_ids({a, b, a});
  REQUIRE(chains.size() == 3);
  CHECK(chains[0] == a);
  CHECK(chains[1] == digest_of(a + " " + b));
  CHECK(chains[2] == digest_of(chains[1] + " " + a));
}

TEST_CASE("an OCI layout is imported, found, listed and removed", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  const auto digest = layout.add_image(
      {kBase, kTop}, "web:1",
      R"({"Entrypoint":["/bin/run"],"Cmd":["-v"],"Env":["A=b"],"WorkingDir":"/srv",)"
      R"("User":"1000:users","StopSignal":"SIGQUIT","Volumes":{"/var/cache":{}}})");
  const auto imported = place.import(layout.path(), "web:1");
  REQUIRE(imported);
  REQUIRE(imported->size() == 1);
  const auto found = place.store->find("web:1");
  REQUIRE(found);
  CHECK(found->name == "docker.io/library/web:1");
  CHECK(found->digest == digest);
  CHECK(found->entrypoint == std::vector<std::string>{"/bin/run"});
  CHECK(found->command == std::vector<std::string>{"-v"});
  CHECK(found->environment == std::vector<std::string>{"A=b"});
  CHECK(found->working_directory == "/srv");
  CHECK(found->user == "1000:users");
  CHECK(found->stop_signal == "SIGQUIT");
  CHECK(found->volumes == std::vector<std::string>{"/var/cache"});
  REQUIRE(found->layers.size() == 2);
  CHECK(read(found->layers[0] + "/etc/os") == "two");  // topmost first
  CHECK(read(found->layers[1] + "/etc/os") == "one");
  CHECK(found->size_bytes == 4 + 3 + 3 + 3);
  CHECK(place.store->find("library/web:1@" + digest)->digest == digest);
  CHECK(place.store->find(digest)->name == "docker.io/library/web:1");
  CHECK(place.store->list()->size() == 1);

  const auto missing = place.store->find("web:2");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::not_found);
  CHECK(missing.error().reason == "ErrImagePull");

  CHECK(place.store->remove("web:2", {}).error().code == Code::not_found);
  CHECK(*place.store->remove("docker.io/library/web:1", {}) ==
        std::vector<std::string>{"docker.io/library/web:1"});
  CHECK(place.store->list()->empty());
  CHECK(fs::is_empty(place.scratch / "images/layers"));
  CHECK(fs::is_empty(place.scratch / "images/blobs/sha256"));
}

TEST_CASE("layers are unpacked once and shared", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  layout.add_image({kBase}, "one:1");
  layout.add_image({kBase, kTop}, "two:1", R"({"Cmd":["x"]})", &zstd);
  REQUIRE(place.import(layout.path(), "one:1"));
  CHECK(place.unpacker->runs == 1);
  REQUIRE(place.import(layout.path(), "two:1"));
  CHECK(place.unpacker->runs == 2);
  REQUIRE(place.import(layout.path(), "two:1"));
  CHECK(place.unpacker->runs == 2);
  const auto one = place.store->find("one:1");
  const auto two = place.store->find("two:1");
  CHECK(one->layers.front() == two->layers.back());
  REQUIRE(place.store->remove("two:1", {}));
  CHECK(place.content(*place.store->find("one:1"), "etc/os") == "one");

  // A new process finds everything as it was.
  place.store = place.open();
  CHECK(place.store->find("one:1")->layers == one->layers);
}

TEST_CASE("a replaced image keeps its layers while something runs from them", "[image]") {
  Store place;
  LayoutBuilder first(place.scratch / "first");
  first.add_image({kBase}, "web:1");
  LayoutBuilder second(place.scratch / "second");
  second.add_image({kTop}, "web:1");
  const auto old = place.import(first.path(), "web:1")->front();
  REQUIRE(place.import(second.path(), "web:1"));
  CHECK(place.content(*place.store->find("web:1"), "app") == "top");
  CHECK(place.content(old, "etc/os") == "one");
  CHECK(*place.store->collect_garbage(old.layers) == 0);
  CHECK(place.content(old, "etc/os") == "one");
  CHECK(*place.store->collect_garbage({}) == 7);
  CHECK(place.content(old, "etc/os").empty());
  CHECK(place.content(*place.store->find("web:1"), "app") == "top");
}

TEST_CASE("an archive of a layout names its images itself", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  layout.add_image({kBase}, "registry.test/one:1");
  layout.add_image({kTop}, "registry.test/two:1");
  write(place.scratch / "both.tar", pack_directory(layout.path()));
  SECTION("all of them") {
    const auto imported = place.import(place.scratch / "both.tar");
    REQUIRE(imported);
    CHECK(imported->size() == 2);
    CHECK(place.content(*place.store->find("registry.test/two:1"), "app") == "top");
  }
  SECTION("the one that is meant") {
    REQUIRE(place.import(place.scratch / "both.tar", "registry.test/two:1"));
    CHECK(place.store->list()->size() == 1);
  }
  SECTION("which of them is meant must be clear") {
    CHECK(reason(place.import(place.scratch / "both.tar", "other:1")) == "AmbiguousImage");
    CHECK(place.store->list()->empty());
  }
  SECTION("compressed as a whole") {
    write(place.scratch / "both.tar.gz", gzip(pack_directory(layout.path())));
    CHECK(place.import(place.scratch / "both.tar.gz"));
  }
}

TEST_CASE("an image without a name of its own needs one", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  layout.add_image({kBase}, "latest");
  CHECK(reason(place.import(layout.path())) == "InvalidImageName");
  CHECK(place.import(layout.path(), "web"));
  CHECK(reason(place.import(layout.path(), "WEB")) == "InvalidImageName");
  CHECK(reason(place.import(layout.path(), "web@" + digest_of("x"))) == "InvalidImageName");
}

TEST_CASE("a saved-image archive is imported, with layers that are links", "[image]") {
  Store place;
  const auto configuration = R"({"os":"linux","architecture":")" +
                             std::string(image::get_architecture()) +
                             R"(","config":{"Cmd":["/bin/run"]},"rootfs":{"diff_ids":[")" +
                             digest_of(kBase) + "\",\"" + digest_of(kTop) + "\"]}}";
  const auto name = sha256_hex(configuration) + ".json";
  const auto manifest =
      R"([{"Config":")" + name +
      R"(","RepoTags":["web:1","web:latest"],"Layers":["a/layer.tar","b/layer.tar"]}])";
  auto files = std::vector<TarFile>{
      tar_file("manifest.json", manifest), tar_file(name, configuration),
      tar_file("real/layer.tar", kBase),   tar_symlink("a/layer.tar", "../real/layer.tar"),
      tar_file("b/layer.tar", kTop),       tar_file("repositories", "{}")};
  SECTION("as it should be") {
    write(place.scratch / "saved.tar", make_tar(files));
    const auto imported = place.import(place.scratch / "saved.tar");
    REQUIRE(imported);
    CHECK(place.content(*place.store->find("web"), "app") == "top");
    CHECK(place.content(*place.store->find("web:1"), "etc/os") == "two");
    CHECK(place.store->list()->size() == 2);
    CHECK(place.store->remove(imported->front().digest, {})->size() == 2);
  }
  SECTION("a configuration that is not what it is called") {
    files[1].content += " ";
    files[1].entry.size_bytes += 1;
    write(place.scratch / "saved.tar", make_tar(files));
    CHECK(reason(place.import(place.scratch / "saved.tar")) == "DigestMismatch");
  }
  SECTION("a layer that is not what the configuration says") {
    files[4] = tar_file("b/layer.tar", kBase);
    write(place.scratch / "saved.tar", make_tar(files));
    CHECK(reason(place.import(place.scratch / "saved.tar")) == "DigestMismatch");
  }
  SECTION("a layer that leads out of the archive") {
    write(place.scratch / "outside.tar", kBase);
    files[3] = tar_symlink("a/layer.tar", place.scratch / "outside.tar");
    write(place.scratch / "saved.tar", make_tar(files));
    CHECK_FALSE(place.import(place.scratch / "saved.tar"));
  }
}

TEST_CASE("T27 what an image says beside its process has no effect", "[image]") {
  Store place;
  LayoutBuilder plain(place.scratch / "plain");
  plain.add_image({kBase}, "plain:1", R"({"Cmd":["/bin/run"],"Env":["A=b"]})");
  LayoutBuilder loud(place.scratch / "loud");
  loud.add_image({kBase}, "loud:1",
                 R"({"Cmd":["/bin/run"],"Env":["A=b"],"Labels":{"moored.dev/drift":"off",)"
                 R"("io.kubernetes.container.name":"x","moored.dev/log-path":"/etc/shadow"},)"
                 R"("ExposedPorts":{"22/tcp":{}},"Healthcheck":{"Test":["CMD","/bin/x"]},)"
                 R"("OnBuild":["RUN x"],"Shell":["/bin/x"],"ArgsEscaped":true,"Memory":1})");
  REQUIRE(place.import(plain.path(), "plain:1"));
  REQUIRE(place.import(loud.path(), "loud:1"));
  const auto one = *place.store->find("plain:1");
  const auto two = *place.store->find("loud:1");
  CHECK(two.layers == one.layers);
  CHECK(two.entrypoint == one.entrypoint);
  CHECK(two.command == one.command);
  CHECK(two.environment == one.environment);
  CHECK(two.working_directory == one.working_directory);
  CHECK(two.user == one.user);
  CHECK(two.stop_signal == one.stop_signal);
  CHECK(two.volumes == one.volumes);
}

TEST_CASE("a plain directory becomes an image", "[image]") {
  Store place;
  const auto root = place.scratch / "root";
  write(root + "/bin/app", "program");
  fs::permissions(root + "/bin/app", fs::perms(0755));
  fs::create_symlink("app", root + "/bin/link");
  fs::create_hard_link(root + "/bin/app", root + "/bin/zz-same");
  SECTION("without a description") {
    REQUIRE(place.import(root, "plain"));
    const auto image = place.store->find("plain");
    CHECK(image->command == std::vector<std::string>{"/bin/sh"});
    const auto& layer = image->layers.front();
    CHECK(read(layer + "/bin/link") == "program");
    CHECK(fs::hard_link_count(layer + "/bin/app") == 2);
    const auto first = image->digest;
    REQUIRE(place.import(root, "plain"));  // the same directory is the same image
    CHECK(place.store->find("plain")->digest == first);
  }
  SECTION("with one") {
    write(root + ".yaml",
          "entrypoint: [/bin/app]\ncmd: [--serve]\nenv: {MODE: test}\n"
          "user: \"1000\"\nworkingDir: /srv\nstopSignal: SIGINT\n");
    REQUIRE(place.import(root, "plain"));
    const auto image = place.store->find("plain");
    CHECK(image->entrypoint == std::vector<std::string>{"/bin/app"});
    CHECK(image->command == std::vector<std::string>{"--serve"});
    CHECK(image->environment == std::vector<std::string>{"MODE=test"});
    CHECK(image->user == "1000");
  }
  SECTION("with a wrong one") {
    write(root + ".yaml", "entrypoint: [/bin/app]\nporst: 80\n");
    const auto refused = place.import(root, "plain");
    CHECK(reason(refused) == "ConfigInvalid");
    CHECK(refused.error().place.line == 2);
  }
  SECTION("as a tar") {
    write(place.scratch / "root.tar", make_tar({tar_file("bin/app", "packed")}));
    REQUIRE(place.import(place.scratch / "root.tar", "plain"));
    CHECK(place.content(*place.store->find("plain"), "bin/app") == "packed");
  }
}

TEST_CASE("what contradicts itself is refused and leaves nothing", "[image]") {
  Store place;
  LayoutBuilder good(place.scratch / "good");
  good.add_image({kBase}, "good:1");
  REQUIRE(place.import(good.path(), "good:1"));
  const auto before = place.files();
  LayoutBuilder layout(place.scratch / "layout");
  const auto manifest_type = "application/vnd.oci.image.manifest.v1+json";
  const auto index_type = "application/vnd.oci.image.index.v1+json";
  const auto packed = gzip(kTop);
  const auto blob_path = [&](const std::string& content) {
    return layout.path() + "/blobs/sha256/" + sha256_hex(content);
  };

  SECTION("a missing layer") {
    layout.add_image({kTop}, "bad:1");
    fs::remove(blob_path(packed));
    CHECK(reason(place.import(layout.path(), "bad:1")) == "DigestMismatch");
  }
  SECTION("a layer with other bytes") {
    layout.add_image({kTop}, "bad:1");
    auto other = packed;
    other[20] = static_cast<char>(other[20] ^ 1);
    write(blob_path(packed), other);
    CHECK(reason(place.import(layout.path(), "bad:1")) == "DigestMismatch");
  }
  SECTION("a second layer that climbs out") {
    layout.add_image({kTop, make_tar({tar_file("../../x", "y")})}, "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "LayerEscape");
  }
  SECTION("a document that is index and manifest") {
    layout.add_manifest(R"({"schemaVersion":2,"manifests":[],"layers":[]})", manifest_type,
                        "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "ManifestInvalid");
  }
  SECTION("a media type that does not fit") {
    layout.add_manifest(R"({"schemaVersion":2,"manifests":[]})", manifest_type, "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "ManifestInvalid");
  }
  SECTION("schema 1") {
    layout.add_manifest(R"({"schemaVersion":1,"fsLayers":[]})", manifest_type, "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "ManifestInvalid");
  }
  SECTION("indexes without end") {
    std::string inner = R"({"schemaVersion":2,"manifests":[]})";
    for (int i = 0; i < 6; ++i) {
      const auto digest = layout.add_blob(inner);
      inner = R"({"schemaVersion":2,"manifests":[{"mediaType":")" + std::string(index_type) +
              R"(","digest":")" + digest + R"(","size":)" + std::to_string(inner.size()) + "}]}";
    }
    layout.add_manifest(inner, index_type, "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "ManifestInvalid");
  }
  SECTION("another platform") {
    const std::string other = image::get_architecture() == "arm64" ? "amd64" : "arm64";
    const auto manifest = std::string(R"({"schemaVersion":2,"manifests":[{"mediaType":")") +
                          manifest_type + R"(","digest":")" + digest_of("x") +
                          R"(","size":1,"platform":{"os":"linux","architecture":")" + other +
                          R"("}}]})";
    layout.add_manifest(manifest, index_type, "bad:1");
    const auto refused = place.import(layout.path(), "bad:1");
    CHECK(reason(refused) == "PlatformMismatch");
    CHECK(refused.error().message.find(other) != std::string::npos);
  }
  SECTION("too many layers") {
    layout.add_image(std::vector<std::string>(128, kTop), "bad:1");
    CHECK(reason(place.import(layout.path(), "bad:1")) == "LayerLimit");
  }
  SECTION("a hostile configuration, all of it named at once") {
    layout.add_image({kTop}, "bad:1",
                     R"({"User":"root:../../","WorkingDir":"../../..","Entrypoint":null,)"
                     R"("Env":["A=b\nc"],"Volumes":{"/../../etc":{},"/proc":{}},"Cmd":["x"],)"
                     R"("StopSignal":"SIGKILL; reboot","ExposedPorts":{"99999/tcp":{}}})");
    const auto refused = place.import(layout.path(), "bad:1");
    REQUIRE(reason(refused) == "ConfigInvalid");
    for (const char* field : {"User", "WorkingDir", "Env", "Volumes", "StopSignal", "ExposedPorts"}) {
      INFO(field);
      CHECK(refused.error().message.find(field) != std::string::npos);
    }
  }
  SECTION("users out of range") {
    for (const char* user : {"2147483648", "4294967295", "-1", "1e3", "0x0", ":5", "app:", "a b"}) {
      INFO(user);
      const auto json =
          R"({"rootfs":{"diff_ids":[]},"config":{"User":")" + std::string(user) + "\"}}";
      const auto parsed = image::parse_configuration(json);
      REQUIRE_FALSE(parsed);
      CHECK(parsed.error().reason == "ConfigInvalid");
    }
    return;
  }
  SECTION("ports and signals as images have them") {
    const auto parse = [](const std::string& config) {
      return image::parse_configuration(R"({"rootfs":{"diff_ids":[]},"config":{)" + config + "}}");
    };
    for (const char* port : {"80", "8080/tcp", "53/udp", "3868/sctp", "65535/tcp"}) {
      INFO(port);
      CHECK(parse(R"("ExposedPorts":{")" + std::string(port) + R"(":{}})"));
    }
    for (const char* port : {"", "x", "0/tcp", "65536/tcp", "80/", "80/icmp", "/tcp", "-1", "80 "}) {
      INFO(port);
      CHECK(reason(parse(R"("ExposedPorts":{")" + std::string(port) + R"(":{}})")) ==
            "ConfigInvalid");
    }
    for (const char* signal : {"", "SIGTERM", "TERM", "15", "SIGRTMIN+3", "sigquit"}) {
      INFO(signal);
      CHECK(parse(R"("StopSignal":")" + std::string(signal) + '"'));
    }
    CHECK(parse(R"("ExposedPorts":null,"StopSignal":null)"));
    CHECK(reason(parse(R"("ExposedPorts":["80/tcp"])")) == "ConfigInvalid");
    CHECK(reason(parse(R"("StopSignal":"TERM\nKILL")")) == "ConfigInvalid");
    return;
  }
  CHECK(place.files() == before);
  CHECK(place.content(*place.store->find("good:1"), "etc/os") == "one");
  CHECK(place.store->list()->size() == 1);
}

TEST_CASE("the budget of an image counts all its layers", "[image]") {
  Store place;
  image::LayerLimits limits;
  limits.bytes = 1U << 20U;
  place.store = place.open(limits);
  LayoutBuilder layout(place.scratch / "layout");
  const auto half = std::string(600U << 10U, 'x');
  layout.add_image({make_tar({tar_file("a", half)}), make_tar({tar_file("b", half)})}, "big:1");
  CHECK(reason(place.import(layout.path(), "big:1")) == "LayerLimit");
  CHECK(fs::is_empty(place.scratch / "images/layers"));
}

TEST_CASE("what an earlier process left half done is thrown away", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  layout.add_image({kBase}, "web:1");
  REQUIRE(place.import(layout.path(), "web:1"));
  const auto before = place.files();
  place.store.reset();
  write(place.scratch / "images/ingest/123-1", "half");
  write(place.scratch / "images/layers/.tmp-123-2/diff/x", "half");
  place.store = place.open();
  CHECK(place.files() == before);
}

TEST_CASE("a blob that changed on disk is noticed", "[image]") {
  Store place;
  LayoutBuilder layout(place.scratch / "layout");
  const auto digest = layout.add_image({kBase}, "web:1");
  REQUIRE(place.import(layout.path(), "web:1"));
  const auto path = place.scratch / "images/blobs/sha256/" + image::digest_hex(digest);
  fs::permissions(path, fs::perms(0600));
  write(path, read(path) + " ");
  const auto found = place.store->find("web:1");
  REQUIRE_FALSE(found);
  CHECK(found.error().reason == "DigestMismatch");
  CHECK(place.store->list()->empty());
  fs::remove(path);
  REQUIRE(place.import(layout.path(), "web:1"));
  CHECK(place.store->find("web:1"));
}

TEST_CASE("the worker program unpacks with its rights taken away", "[image]") {
  const std::string program = MOORED_BIN_DIR "/moored-unpack";
  if (geteuid() != 0 || !fs::exists(program)) {
    WARN("skipped: needs root and " << program);
    return;
  }
  ImageScratch scratch;
  const WorkerUser nobody{{65534, 65534}};
  auto store =
      ContentStore::open({scratch / "images", {}}, image::make_unpack_worker(program, nobody));
  REQUIRE(store);
  LayoutBuilder layout(scratch / "layout");
  auto tool = tar_file("bin/tool", "x", 04755);
  tool.entry.attributes = {
      {"security.capability", std::string("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}};
  layout.add_image(
      {kBase, make_tar({tool, tar_file("etc/.wh.os", ""), tar_file("bin/.wh..wh..opq", ""),
                        tar_hardlink("opt/run", "/bin/run"), tar_file("d\xc3\xa4", "")})},
      "web:1", R"({"Cmd":["x"]})", &zstd);
  const auto imported = (*store)->import({layout.path(), "web:1", {}});
  if (!imported) FAIL(imported.error().text());
  const auto& top = imported->front().layers.front();
  CHECK(read(top + "/bin/tool") == "x");
  struct stat tool_state {};
  REQUIRE(::stat((top + "/bin/tool").c_str(), &tool_state) == 0);
  CHECK(tool_state.st_mode == (S_IFREG | 04755U));
  CHECK(tool_state.st_uid == 0);  // as the layer says, whoever the worker is
  CHECK(::getxattr((top + "/bin/tool").c_str(), "security.capability", nullptr, 0) == 20);
  CHECK(::getxattr((top + "/bin").c_str(), "trusted.overlay.opaque", nullptr, 0) == 1);
  CHECK(fs::is_character_file(top + "/etc/os"));
  CHECK(fs::exists(top + "/d\xc3\xa4"));

  LayoutBuilder bad(scratch / "bad");
  bad.add_image({make_tar({tar_file("../x", "y")})}, "bad:1");
  const auto refused = (*store)->import({bad.path(), "bad:1", {}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == "LayerEscape");
}
