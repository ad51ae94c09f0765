#include "reconciler/admin/protocol.hpp"

#include <array>
#include <charconv>
#include <set>

#include "schema/codec/text.hpp"

namespace moored {
namespace {

using Millis = std::chrono::milliseconds;

// Reads the members of a request strictly: each at most once, none left over.
class Members {
 public:
  explicit Members(const Value& map) : map_(map) {}

  void text(std::string_view name, std::string& out) {
    const Value* value = take(name, Value::Type::text);
    if (value != nullptr) out = value->scalar;
  }
  void required(std::string_view name, std::string& out) {
    text(name, out);
    if (out.empty()) complain(std::string(name) + " is missing");
  }
  void truth(std::string_view name, bool& out) {
    const Value* value = take(name, Value::Type::boolean);
    if (value != nullptr) out = value->scalar == "true";
  }
  void millis(std::string_view name, Millis& out) {
    const Value* value = take(name, Value::Type::integer);
    if (value == nullptr) return;
    std::int64_t number = 0;
    const auto* end = value->scalar.data() + value->scalar.size();
    const auto read = std::from_chars(value->scalar.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end || number < 0) {
      return complain(std::string(name) + " is no number of milliseconds");
    }
    out = Millis(number);
  }
  void texts(std::string_view name, std::vector<std::string>& out) {
    const Value* value = take(name, Value::Type::list);
    if (value == nullptr) return;
    for (const Value& item : value->items) {
      if (item.type != Value::Type::text) complain(std::string(name) + " holds more than text");
      out.push_back(item.scalar);
    }
  }
  // The first complaint is kept; the rest may only follow from it.
  void complain(std::string what) {
    if (!error_) error_ = Error{Code::invalid, std::move(what), "BadRequest", {}, {}};
  }
  // Unknown members are refused: a misspelt option of a verb that acts must not be passed over.
  Status done() {
    for (const Value::Member& member : map_.members) {
      if (taken_.count(member.first.scalar) == 0) complain("unknown member " + member.first.scalar);
    }
    if (error_) return Unexpected(*error_);
    return {};
  }

 private:
  const Value* take(std::string_view name, Value::Type type) {
    taken_.insert(std::string(name));
    const Value* value = map_.find(name);
    if (value == nullptr) return nullptr;
    if (value->type == type) return value;
    complain(std::string(name) + " has the wrong type");
    return nullptr;
  }

  const Value& map_;
  std::set<std::string, std::less<>> taken_;
  std::optional<Error> error_;
};

// Nothing is handed on before done() has judged the whole request.
template <class Verb, class Read>
Result<AdminVerb> read_verb(Members& members, Read read) {
  Verb verb;
  read(verb);
  MOORED_CHECK(members.done());
  return AdminVerb(std::move(verb));
}

Result<AdminVerb> read_exec(Members& m) {
  return read_verb<ExecVerb>(m, [&](ExecVerb& v) {
    m.required("namespace", v.namespace_name);
    m.required("pod", v.pod);
    m.text("container", v.container);
    m.texts("command", v.command);
    m.millis("timeoutMs", v.timeout);
    if (v.command.empty()) m.complain("command is missing");
  });
}

Result<AdminVerb> read_sync(Members& m) {
  return read_verb<SyncVerb>(m, [&](SyncVerb& v) {
    m.text("source", v.source);
    m.truth("wait", v.wait);
    m.millis("timeoutMs", v.timeout);
  });
}

// Relative paths would mean the directory of the daemon, which nobody who asks can see.
Result<AdminVerb> read_plan(Members& m) {
  return read_verb<PlanVerb>(m, [&](PlanVerb& v) {
    m.text("unit", v.unit);
    m.text("path", v.path);
    m.text("revision", v.revision);
    if (!v.path.empty() && v.path[0] != '/') m.complain("path is not absolute");
    if (!v.path.empty() && !v.revision.empty()) m.complain("path and revision exclude each other");
  });
}

Result<AdminVerb> read_import(Members& m) {
  return read_verb<ImageImportVerb>(m, [&](ImageImportVerb& v) {
    m.required("path", v.path);
    m.text("name", v.name);
    if (v.path.rfind('/', 0) != 0) m.complain("path is not absolute");
  });
}

Result<AdminVerb> read_confirm(Members& m) {
  return read_verb<ConfirmVerb>(m, [&](ConfirmVerb& v) {
    m.required("revision", v.revision);
    m.text("unit", v.unit);
  });
}

Result<AdminVerb> read_by_name(const std::string& name, Members& m) {
  if (name == "sync") return read_sync(m);
  if (name == "exec") return read_exec(m);
  if (name == "plan") return read_plan(m);
  if (name == "confirm") return read_confirm(m);
  if (name == "image-import") return read_import(m);
  if (name == "image-ls") return read_verb<ImageListVerb>(m, [](ImageListVerb&) {});
  if (name == "image-rm") {
    return read_verb<ImageRemoveVerb>(m, [&](ImageRemoveVerb& v) { m.required("name", v.name); });
  }
  if (name == "down") {
    return read_verb<DownVerb>(m, [&](DownVerb& v) { m.truth("keepImages", v.keep_images); });
  }
  return Unexpected(Error{Code::invalid, "unknown verb " + name, "BadRequest", {}, {}});
}

// The empty text and an absent member mean the same to the reader.
void put_text(Value& map, std::string_view name, const std::string& text) {
  if (!text.empty()) map.put(name, Value::of_text(text));
}

// Writes the members that read_by_name reads.
struct Writer {
  Value& out;

  void operator()(const SyncVerb& v) {
    put_text(out, "source", v.source);
    out.put("wait", Value::of_boolean(v.wait));
    out.put("timeoutMs", Value::of_integer(v.timeout.count()));
  }
  void operator()(const ExecVerb& v) {
    put_text(out, "namespace", v.namespace_name);
    put_text(out, "pod", v.pod);
    put_text(out, "container", v.container);
    Value& command = out.put("command", Value::make_list());
    for (const std::string& word : v.command)
      command.items.push_back(Value::of_text(word));
    out.put("timeoutMs", Value::of_integer(v.timeout.count()));
  }
  void operator()(const ImageImportVerb& v) {
    put_text(out, "path", v.path);
    put_text(out, "name", v.name);
  }
  void operator()(const ImageListVerb&) {}
  void operator()(const ImageRemoveVerb& v) { put_text(out, "name", v.name); }
  void operator()(const PlanVerb& v) {
    put_text(out, "unit", v.unit);
    put_text(out, "path", v.path);
    put_text(out, "revision", v.revision);
  }
  void operator()(const ConfirmVerb& v) {
    put_text(out, "revision", v.revision);
    put_text(out, "unit", v.unit);
  }
  void operator()(const DownVerb& v) { out.put("keepImages", Value::of_boolean(v.keep_images)); }
};

Value error_value(const Error& error) {
  Value out = Value::make_map();
  out.put("code", Value::of_text(std::string(traits(error.code).name)));
  put_text(out, "reason", error.reason);
  out.put("message", Value::of_text(error.message));
  put_text(out, "fix", error.fix);
  put_text(out, "file", error.place.file);
  if (error.place.line > 0) out.put("line", Value::of_integer(error.place.line));
  if (error.place.column > 0) out.put("column", Value::of_integer(error.place.column));
  put_text(out, "field", error.place.field);
  return out;
}

std::string text_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? std::string() : value->scalar;
}

// Only for lines and columns, where 0 stands for unknown.
int number_in(const Value& map, std::string_view name) {
  const std::string text = text_in(map, name);
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A code of a newer daemon is told as internal, with its message unchanged.
Error error_of(const Value& map) {
  Error error;
  error.code = find_code(text_in(map, "code")).value_or(Code::internal);
  error.reason = text_in(map, "reason");
  error.message = text_in(map, "message");
  error.fix = text_in(map, "fix");
  error.place = {text_in(map, "file"), number_in(map, "line"), number_in(map, "column"),
                 text_in(map, "field")};
  return error;
}

}  // namespace

std::string encode_admin_request(const AdminVerb& verb) {
  Value out = Value::make_map();
  out.put("verb", Value::of_text(admin_verb_name(verb)));
  std::visit(Writer{out}, verb);
  return write_json(out);
}

Result<AdminVerb> decode_admin_request(std::string_view line) {
  MOORED_TRY(const auto request, read_json(line));
  if (!request.is_map()) return fail(Code::invalid, "a request is a JSON map");
  Members members(request);
  std::string name;
  members.required("verb", name);
  return read_by_name(name, members);
}

std::string encode_admin_reply(const AdminReply& reply) {
  Value out = Value::make_map();
  if (reply.progress) out.put("progress", *reply.progress);
  if (reply.result) out.put("result", *reply.result);
  if (reply.error) out.put("error", error_value(*reply.error));
  return write_json(out);
}

// Exactly one member: progress goes on, a result or an error is the last line.
Result<AdminReply> decode_admin_reply(std::string_view line) {
  const auto reply = read_json(line);
  if (!reply || !reply->is_map() || reply->members.size() != 1) {
    return fail(Code::corrupt, "the daemon's answer is not of this protocol");
  }
  AdminReply out;
  if (const Value* progress = reply->find("progress")) out.progress = *progress;
  if (const Value* result = reply->find("result")) out.result = *result;
  if (const Value* error = reply->find("error")) out.error = error_of(*error);
  if (!out.progress && !out.result && !out.error) {
    return fail(Code::corrupt, "the daemon's answer is not of this protocol");
  }
  return out;
}

std::optional<Code> find_code(std::string_view name) {
  constexpr std::array<Code, 9> kCodes = {Code::invalid,   Code::not_found,   Code::conflict,
                                          Code::denied,    Code::unavailable, Code::timeout,
                                          Code::exhausted, Code::corrupt,     Code::internal};
  for (const Code code : kCodes) {
    if (traits(code).name == name) return code;
  }
  return std::nullopt;
}

}  // namespace moored
