#include "transfer.h"

void transfer_begin(struct transfer *transfer, const struct transfer_driver *driver, void *job) {
	transfer->driver = driver;
	transfer->job = job;
	transfer->reason = "";
	transfer->head = (struct transfer_head){0};
	transfer->sent = false;
}

void transfer_stop(struct transfer *transfer) {
	const struct transfer_driver *driver = transfer->driver;
	if (driver) {
		transfer->driver = NULL;
		driver->stop(transfer->job);
	}
}

void transfer_finish(struct transfer *transfer, enum transfer_result result, const char *reason) {
	transfer_stop(transfer);
	transfer->reason = reason;
	transfer->events->done(transfer, result);
}

enum transfer_type transfer_type_of(struct str content_type) {
	struct str type = str_trim(str_cut(&content_type, ';'));
	if (str_equal_nocase(type, STR("text/event-stream"))) {
		return TRANSFER_TYPE_EVENTS;
	}
	return str_equal_nocase(type, STR("application/json")) ? TRANSFER_TYPE_JSON : TRANSFER_TYPE_OTHER;
}
