#include "schema/base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace moored {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Under systemd each line starts with its journal priority and carries no time of its own.
std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>(
      "moored", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  logger->set_pattern(journal ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                      spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = make_logger();
  return *instance;
}

}  // namespace

std::string escape_text(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", static_cast<unsigned>(byte));
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : code.data();
    } else {
      out += c;
    }
  }
  if (text.size() > limit) out += "…";
  return out;
}

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  std::string line = escape_text(message, 4096);
  for (const auto& field : fields) {
    const auto value = escape_text(field.value);
    const bool quote = value.empty() || value.find(' ') != std::string::npos;
    line += ' ' + std::string(field.name) + '=' + (quote ? '"' + value + '"' : value);
  }
  if (std::getenv("JOURNAL_STREAM") != nullptr) {
    constexpr std::array<const char*, 4> kPriority{"<7>", "<6>", "<4>", "<3>"};
    line.insert(0, kPriority[static_cast<std::size_t>(level)]);
  }
  logger().log(to_spdlog(level), "{}", line);
}

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

}  // namespace moored
