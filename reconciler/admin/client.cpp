#include "reconciler/admin/client.hpp"

#include "reconciler/admin/line_socket.hpp"
#include "reconciler/admin/protocol.hpp"

namespace moored {
namespace {

constexpr std::chrono::milliseconds kEndless{-1};

// What a failed connection means to the person at the terminal.
Error explain(Error error) {
  if (error.code == Code::not_found || error.code == Code::unavailable) {
    error.message = "moored does not run here (" + error.message + ")";
    error.fix = "start it with systemctl start moored, or name its --run-dir";
  } else if (error.code == Code::denied) {
    error.message = "only root may ask moored for this (" + error.message + ")";
    error.fix = "run the command with sudo";
  }
  return error;
}

}  // namespace

Result<AdminClient> AdminClient::connect(const std::string& path) {
  auto socket = admin::connect_unix(path);
  if (!socket) return Unexpected(explain(std::move(socket).error()));
  return AdminClient(*std::move(socket));
}

Result<Value> AdminClient::ask(const AdminVerb& verb,
                               const std::function<void(const Value& step)>& progress) {
  MOORED_CHECK(admin::write_line(socket_.get(), encode_admin_request(verb)));
  admin::LineReader lines(socket_.get(), kMaxAdminReply);
  for (;;) {
    auto line = lines.read_line(kEndless);
    if (!line) return Unexpected(std::move(line).error().context("moored broke off"));
    MOORED_TRY(auto reply, decode_admin_reply(*line));
    if (reply.error) return Unexpected(std::move(*reply.error));
    if (reply.result) return std::move(*reply.result);
    if (progress) progress(*reply.progress);
  }
}

}  // namespace moored
