// Texts that are reviewed like code: compared with files of tests/golden/net.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace moored::test {

// The expected text; with MOORED_GOLDEN=write the file is replaced by what came.
inline std::string golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(MOORED_SOURCE_DIR) + "/tests/golden/net/" + name;
  const char* mode = std::getenv("MOORED_GOLDEN");
  if (mode != nullptr && std::string(mode) == "write") std::ofstream(path) << text;
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace moored::test

#define CHECK_GOLDEN(name, text)                       \
  do {                                                 \
    const std::string came = (text);                   \
    CHECK(came == ::moored::test::golden(name, came)); \
  } while (false)
