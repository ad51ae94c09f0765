// What moored-unpack can still do: tried from inside, and read off a running one.
#include <sys/stat.h>

#include <thread>

#include "image_archive.hpp"
#include "runtime/image/jail.hpp"
#include "tests/unit/confined.hpp"

using namespace moored;
using namespace moored::confined;
using namespace moored::test;

namespace {

// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN, MKNOD, SETFCAP: bits 0 1 3 4 21 27 31.
constexpr const char* kKept = "000000008820001b";

// The directory is on descriptor `target`, its sibling `-beside` is a layer below.
struct Target {
  Target() {
    for (const char* name : {"layer", "layer-beside"}) {
      fs::create_directory(scratch / name);
      std::ofstream(scratch / (std::string(name) + "/closed")) << "of root";
      fs::permissions(scratch / (std::string(name) + "/closed"), fs::perms::none);
    }
    target = UniqueFd(::open((scratch / "layer").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    lower = UniqueFd(
        ::open((scratch / "layer-beside").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  int try_in_jail(const std::vector<Attempt>& attempts) {
    return try_after(
        [&] { return image::enter_jail(kUser, target.get(), {lower.get()}, 1 << 20); },
        scratch / "layer", attempts);
  }

  ImageScratch scratch;
  UniqueFd target;
  UniqueFd lower;
};

const Attempt kWriteMuch = [](const std::string& d) {
  const int file = ::open((d + "/much").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  std::signal(SIGXFSZ, SIG_IGN);
  return file >= 0 && ::pwrite(file, "x", 1, 1 << 20) == 1;
};

}  // namespace

TEST_CASE("unpacking writes its target, reads the layers below, and nothing else", "[image][jail]") {
  if (!is_confinable()) return;
  Target place;
  CHECK(place.try_in_jail({kWriteInside, kReadInside, kReadBeside}) == 7);
  CHECK(place.try_in_jail({kWriteOutside, kReadSystem, kReadShadow, kExecute, kFork, kInternet,
                           kUnixSocket}) == 0);
  CHECK(place.try_in_jail({kListen, kSignal, kWriteMuch}) == 0);
}

TEST_CASE("a running unpacker shows its user, its filter and its rights", "[image][jail]") {
  const std::string program = MOORED_BIN_DIR "/moored-unpack";
  if (!is_confinable()) return;
  Target place;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd source(ends[0]);
  UniqueFd archive(ends[1]);
  image::UnpackRequest request;
  request.source = source.get();
  request.target = place.target.get();
  const auto worker = image::make_unpack_worker(program, kUser);
  Result<image::UnpackReport> report = fail(Code::internal, "it did not end");
  std::thread running([&] { report = worker->run(request); });
  const auto status = status_of_filtered_child("moored-unpack");  // it waits for the archive
  const std::string tar = make_tar({tar_file("made", "x")});
  CHECK(::write(archive.get(), tar.data(), tar.size()) == static_cast<ssize_t>(tar.size()));
  archive.reset();
  running.join();
  check_confined(status, kKept);
  if (!report) FAIL(report.error().text());
  struct stat made {};
  REQUIRE(::stat((place.scratch / "layer/made").c_str(), &made) == 0);
  CHECK(made.st_uid == 0);
}
