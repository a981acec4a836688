#include "api.h"
#include "base/json.h"

/* GET /v1/models. The upstream tells names only; `created` is when the list was asked for, as llama.cpp does. */
void api_models(struct exchange *exchange) {
	char *const *names;
	size_t count = engine_models(exchange->edge->deps.engine, &names);
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "list");
	jw_key(&w, "data");
	jw_array(&w);
	for (size_t i = 0; i < count; i++) {
		jw_object(&w);
		jw_key(&w, "id");
		jw_text(&w, names[i]);
		jw_key(&w, "object");
		jw_text(&w, "model");
		jw_key(&w, "created");
		jw_int(&w, edge_wall_ms(exchange->edge) / 1000);
		jw_key(&w, "owned_by");
		jw_text(&w, "upstream");
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}
