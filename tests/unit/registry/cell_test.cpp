// What moored-pull can still do, and what it cannot make the daemon believe.
#include "runtime/registry/cell.hpp"

#include <sys/stat.h>

#include <cstdlib>

#include "runtime/image/registry_worker.hpp"
#include "schema/base/assert.hpp"
#include "tests/unit/confined.hpp"

using namespace moored;
using namespace moored::confined;
using image::RegistryAccess;
using image::RegistryAsk;
using image::RegistryHead;
namespace fs = std::filesystem;

namespace {

// Open to all, so that only the cell keeps anybody from writing there.
class OpenScratch {
 public:
  OpenScratch() {
    char name[] = "/tmp/moored-cell-XXXXXX";
    MOORED_ASSERT(mkdtemp(name) != nullptr);
    path_ = name;
    fs::permissions(path_, fs::perms::all);
  }
  ~OpenScratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  OpenScratch(const OpenScratch&) = delete;
  OpenScratch& operator=(const OpenScratch&) = delete;
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const Attempt kTruncate = [](const std::string& d) { return can_open(d, O_RDONLY | O_TRUNC); };

// One frame of the channel: its length, most significant byte first.
std::string frame(const std::string& message) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(message.size() >> static_cast<unsigned>(shift) & 0xffU);
  }
  return out + message;
}

// A worker that says whatever it was given, whatever it is asked.
struct Liar {
  explicit Liar(const std::string& frames) {
    std::ofstream(scratch / "frames", std::ios::binary) << frames;
    std::ofstream(scratch / "worker") << "#!/bin/sh\ncat " << scratch / "frames"
                                      << " >&3\nread -r line <&3\nexec sleep 60\n";
    fs::permissions(scratch / "worker", fs::perms::all);
  }

  // Bytes that reached us before the end, and that end.
  Status ask(RegistryAsk ask) {
    const auto connector = image::make_registry_connector({scratch / "worker", {}});
    RegistryAccess access;
    access.base = "http://127.0.0.1:1";
    const auto link = connector->connect(access);
    if (!link) return Unexpected(link.error());
    return (*link)->ask(ask, {[](const RegistryHead&) { return Status(); },
                              [&](std::string_view bytes) {
                                taken += bytes.size();
                                return Status();
                              }});
  }

  OpenScratch scratch;
  std::size_t taken = 0;
};

RegistryAsk ask_for(std::int64_t offset, std::int64_t limit) {
  RegistryAsk ask;
  ask.kind = RegistryAsk::Kind::blob;
  ask.reference = "sha256:" + std::string(64, 'a');
  ask.offset = offset;
  ask.limit = limit;
  return ask;
}

std::string head_at(std::int64_t offset) {
  RegistryHead head;
  head.offset = offset;
  return frame(image::write_head(head));
}

std::string piece_of(std::size_t bytes) {
  return frame(image::write_piece(std::string(bytes, 'x')));
}

const std::string kEnd = frame(image::write_end());

}  // namespace

TEST_CASE("pulling reads what looks names up, and nothing else", "[registry][jail]") {
  if (!is_confinable()) return;
  OpenScratch scratch;
  const std::string place = scratch / "place";
  for (const std::string name : {"place", "place-beside"}) {
    fs::create_directory(scratch / name);
    fs::permissions(scratch / name, fs::perms::all);
    std::ofstream(scratch / (name + "/closed")) << "open to all";
    fs::permissions(scratch / (name + "/closed"), fs::perms::all);
  }
  const auto enter = [] { return registry::enter_cell(kUser); };
  CHECK(try_after(enter, place, {kReadSystem, kInternet}) == 3);
  CHECK(try_after(enter, place, {kWriteInside, kWriteOutside, kReadInside, kReadBeside,
                                 kReadShadow, kExecute, kSignal}) == 0);
  CHECK(try_after(enter, place + "/closed", {kTruncate}) == 0);
}

TEST_CASE("a running puller shows its user, its filter and no rights", "[registry][jail]") {
  if (!is_confinable()) return;
  const auto connector =
      image::make_registry_connector({std::string(MOORED_BIN_DIR) + "/moored-pull", kUser});
  RegistryAccess access;
  access.base = "http://127.0.0.1:1";
  access.repository = "team/web";
  const auto link = connector->connect(access);
  if (!link) FAIL(link.error().text());
  // Nobody listens there: an answer means that it is past its cell and still there.
  const auto answer = (*link)->ask(ask_for(0, 1), {});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().reason != "WorkerLost");
  check_confined(status_of_child("moored-pull"), "0000000000000000");
}

TEST_CASE("a worker that was taken over is not believed", "[registry]") {
  Liar honest(head_at(0) + piece_of(10) + kEnd);
  CHECK(honest.ask(ask_for(0, 10)));
  CHECK(honest.taken == 10);

  Liar resumed(head_at(4) + piece_of(6) + kEnd);
  CHECK(resumed.ask(ask_for(4, 6)));

  Liar started_over(head_at(0) + piece_of(10) + kEnd);
  CHECK(started_over.ask(ask_for(4, 6)));

  const std::pair<std::string, RegistryAsk> rows[] = {
      {head_at(0) + piece_of(10) + piece_of(1) + kEnd, ask_for(0, 10)},  // more than was asked for
      {head_at(4) + piece_of(7) + kEnd, ask_for(4, 6)},
      {head_at(0) + piece_of(11) + kEnd, ask_for(4, 6)},
      {piece_of(1) + kEnd, ask_for(0, 10)},                              // no head
      {head_at(0) + head_at(0) + kEnd, ask_for(0, 10)},                  // two of them
      {head_at(3) + piece_of(1) + kEnd, ask_for(4, 6)},                  // somewhere else
      {head_at(-1) + piece_of(1) + kEnd, ask_for(0, 10)},
      {frame("nonsense"), ask_for(0, 10)}};
  for (const auto& [frames, ask] : rows) {
    Liar liar(frames);
    const auto answer = liar.ask(ask);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().reason == "WorkerLost");
    CHECK(liar.taken <= 10);
  }
}
