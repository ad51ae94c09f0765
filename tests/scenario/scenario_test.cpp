// Every file of this folder, as a case of its own name. A bug report becomes a file.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/scenario/steps.hpp"

namespace moored {
namespace {

TEST_CASE("Scenarios") {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(MOORED_SOURCE_DIR "/tests/scenario")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() > 10);
  for (const std::string& file : files) {
    DYNAMIC_SECTION(file) { test::run_scenario(file); }
  }
}

}  // namespace
}  // namespace moored
