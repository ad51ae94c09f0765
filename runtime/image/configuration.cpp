// The configuration document of an image: what its process is, as untrusted text.
#include <algorithm>
#include <charconv>

#include "runtime/image/documents.hpp"
#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/grammar.hpp"

namespace moored::image {
namespace {

constexpr std::uint64_t kMaxUserId = 0x7fffffff;

// Collects what is wrong, so that one message names every field.
class Faults {
 public:
  void add(const std::string& field, const std::string& what) {
    text_ += (text_.empty() ? "" : "; ") + field + ' ' + what;
  }
  bool empty() const { return text_.empty(); }
  Unexpected error() const {
    return Unexpected(Error{Code::invalid,
                            "the image's configuration is not usable: " + text_,
                            "ConfigInvalid",
                            {},
                            {}});
  }

 private:
  std::string text_;
};

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string text_of(const Value& map, std::string_view key, Faults& faults) {
  const auto* value = map.find(key);
  if (value == nullptr || value->type == Value::Type::null) return {};
  if (value->type != Value::Type::text) {
    faults.add(std::string(key), "is not a text");
    return {};
  }
  return value->scalar;
}

std::vector<std::string> texts_of(const Value& map, std::string_view key, Faults& faults) {
  std::vector<std::string> out;
  const auto* value = map.find(key);
  if (value == nullptr || value->type == Value::Type::null) return out;
  if (!value->is_list()) {
    faults.add(std::string(key), "is not a list");
    return out;
  }
  for (const auto& item : value->items) {
    if (item.type != Value::Type::text || item.scalar.find('\0') != std::string::npos) {
      faults.add(std::string(key), "holds something that is not a text");
      return {};
    }
    out.push_back(item.scalar);
  }
  return out;
}

// Part of a User: a number of 0 to 2^31-1, or a name as passwd files hold it.
bool is_account(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && number <= kMaxUserId;
  }
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  const bool starts_well = text.front() == '_' || (text.front() >= 'a' && text.front() <= 'z') ||
                           (text.front() >= 'A' && text.front() <= 'Z');
  return starts_well && std::all_of(text.begin(), text.end(), word);
}

void check_user(const std::string& user, Faults& faults) {
  if (user.empty()) return;
  const auto colon = user.find(':');
  const bool good =
      is_account(std::string_view(user).substr(0, colon)) &&
      (colon == std::string::npos || is_account(std::string_view(user).substr(colon + 1)));
  if (!good) faults.add("User", quoted(user) + " is neither a name nor a number in range");
}

void check_environment(const std::vector<std::string>& lines, Faults& faults) {
  for (const auto& line : lines) {
    const auto equals = line.find('=');
    if (equals == std::string::npos || equals == 0 || has_control(line.substr(0, equals))) {
      faults.add("Env", quoted(line) + " is not NAME=value");
    } else if (line.find('\n') != std::string::npos) {
      faults.add("Env", quoted(line) + " holds a line break");
    }
  }
}

// A name or a number, as in RTMIN+3 or 15. What we do not know by name is no fault: it is not sent.
void check_signal(const std::string& signal, Faults& faults) {
  const auto part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-';
  };
  if (signal.size() <= 16 && std::all_of(signal.begin(), signal.end(), part)) return;
  faults.add("StopSignal", quoted(signal) + " is not a signal");
}

// PORT or PORT/PROTOCOL.
bool is_exposed_port(std::string_view text) {
  const auto slash = text.find('/');
  const auto digits = text.substr(0, slash);
  unsigned port = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return false;
  if (port < 1 || port > 65535) return false;
  const auto protocol = slash == std::string_view::npos ? "tcp" : text.substr(slash + 1);
  return protocol == "tcp" || protocol == "udp" || protocol == "sctp";
}

// We open no port for it; but who writes such a thing may have written the rest as well.
void check_exposed_ports(const Value& map, Faults& faults) {
  const auto* ports = map.find("ExposedPorts");
  if (ports == nullptr || ports->type == Value::Type::null) return;
  if (!ports->is_map()) return faults.add("ExposedPorts", "is not an object");
  for (const auto& [key, ignored] : ports->members) {
    if (!is_exposed_port(key.scalar)) {
      faults.add("ExposedPorts", quoted(key.scalar) + " is not PORT/PROTOCOL");
    }
  }
}

void check_directory(const char* field, const std::string& path, Faults& faults) {
  if (path.empty()) return;
  if (auto error = check_absolute_path(path)) faults.add(field, error->message);
}

void read_volumes(const Value& map, ImageReport& process, Faults& faults) {
  const auto* volumes = map.find("Volumes");
  if (volumes == nullptr || volumes->type == Value::Type::null) return;
  if (!volumes->is_map()) {
    faults.add("Volumes", "is not an object");
    return;
  }
  for (const auto& [key, ignored] : volumes->members) {
    if (auto error = check_mount_path(key.scalar)) {
      faults.add("Volumes", error->message);
    } else {
      process.volumes.push_back(key.scalar);
    }
  }
}

Status check_platform(const Value& root, Faults& faults) {
  const auto system = text_of(root, "os", faults);
  const auto architecture = text_of(root, "architecture", faults);
  const bool fits = (system.empty() || system == "linux") &&
                    (architecture.empty() || architecture == get_architecture());
  if (fits) return {};
  return Unexpected(Error{Code::not_found,
                          "the image is for " + system + '/' + architecture +
                              ", this machine is linux/" + std::string(get_architecture()),
                          "PlatformMismatch",
                          {},
                          {}});
}

void read_diff_ids(const Value& root, std::vector<std::string>& diff_ids, Faults& faults) {
  const auto* file_system = root.find("rootfs");
  if (file_system == nullptr || !file_system->is_map()) {
    faults.add("rootfs", "is missing");
    return;
  }
  diff_ids = texts_of(*file_system, "diff_ids", faults);
  for (const auto& id : diff_ids) {
    if (!is_digest(id)) faults.add("rootfs.diff_ids", quoted(id) + " is not a sha256 digest");
  }
}

Value make_list(const std::vector<std::string>& texts) {
  auto list = Value::make_list();
  for (const auto& text : texts)
    list.items.push_back(Value::of_text(text));
  return list;
}

}  // namespace

Result<ImageConfiguration> parse_configuration(std::string_view json) {
  TextLimits limits;
  limits.file_bytes = kMaxDocumentBytes;
  const auto root = read_json(json, {}, limits);
  Faults faults;
  if (!root || !root->is_map()) {
    faults.add("document", root ? "is not an object" : root.error().text());
    return faults.error();
  }
  ImageConfiguration out;
  MOORED_CHECK(check_platform(*root, faults));
  read_diff_ids(*root, out.diff_ids, faults);
  static const Value kEmpty = Value::make_map();
  const auto* given = root->find("config");
  const Value& config = given != nullptr && given->is_map() ? *given : kEmpty;
  auto& process = out.process;
  process.entrypoint = texts_of(config, "Entrypoint", faults);
  process.command = texts_of(config, "Cmd", faults);
  process.environment = texts_of(config, "Env", faults);
  process.working_directory = text_of(config, "WorkingDir", faults);
  process.user = text_of(config, "User", faults);
  process.stop_signal = text_of(config, "StopSignal", faults);
  check_environment(process.environment, faults);
  check_user(process.user, faults);
  check_directory("WorkingDir", process.working_directory, faults);
  check_signal(process.stop_signal, faults);
  check_exposed_ports(config, faults);
  read_volumes(config, process, faults);
  if (!faults.empty()) return faults.error();
  return out;
}

std::string make_configuration(const ImageReport& process, const std::string& diff_id) {
  auto config = Value::make_map();
  if (!process.entrypoint.empty()) config.put("Entrypoint", make_list(process.entrypoint));
  if (!process.command.empty()) config.put("Cmd", make_list(process.command));
  if (!process.environment.empty()) config.put("Env", make_list(process.environment));
  const auto put_text = [&](const char* key, const std::string& text) {
    if (!text.empty()) config.put(key, Value::of_text(text));
  };
  put_text("WorkingDir", process.working_directory);
  put_text("User", process.user);
  put_text("StopSignal", process.stop_signal);
  if (!process.volumes.empty()) {
    auto volumes = Value::make_map();
    for (const auto& path : process.volumes)
      volumes.put(path, Value::make_map());
    config.put("Volumes", std::move(volumes));
  }
  auto root = Value::make_map();
  root.put("architecture", Value::of_text(std::string(get_architecture())));
  root.put("os", Value::of_text("linux"));
  root.put("config", std::move(config));
  auto layers = Value::make_map();
  layers.put("type", Value::of_text("layers"));
  layers.put("diff_ids", make_list({diff_id}));
  root.put("rootfs", std::move(layers));
  return write_json(root);
}

}  // namespace moored::image
