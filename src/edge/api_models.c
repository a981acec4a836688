#include <string.h>

#include "api.h"
#include "base/json.h"

static void write_ability(struct json_writer *w, const char *key, uint32_t can, uint32_t bit) {
	jw_key(w, key);
	jw_bool(w, (can & bit) != 0);
}

static void write_price(struct json_writer *w, const char *key, double price) {
	jw_key(w, key);
	if (price < 0) {
		jw_null(w);
	} else {
		jw_double(w, price);
	}
}

/* As OpenAI's models, and what the settings declare. `created`: when it was first listed. */
static void write_model(struct json_writer *w, const struct upstream_model *model) {
	jw_object(w);
	jw_key(w, "id");
	jw_text(w, model->name);
	jw_key(w, "object");
	jw_text(w, "model");
	jw_key(w, "created");
	jw_int(w, model->seen_ms / 1000);
	jw_key(w, "owned_by");
	jw_text(w, model->upstream);
	jw_key(w, "sluice:context");
	if (model->context) {
		jw_int(w, model->context);
	} else {
		jw_null(w);
	}
	write_ability(w, "sluice:tools", model->can, UPSTREAM_CAN_TOOLS);
	write_ability(w, "sluice:images", model->can, UPSTREAM_CAN_IMAGES);
	write_ability(w, "sluice:files", model->can, UPSTREAM_CAN_FILES);
	write_ability(w, "sluice:reasoning", model->can, UPSTREAM_CAN_REASONING);
	write_price(w, "sluice:input_price", model->input_price);
	write_price(w, "sluice:output_price", model->output_price);
	jw_object_end(w);
}

/* GET /v1/models */
void api_models(struct exchange *exchange) {
	const struct upstream_model *models;
	size_t count = engine_models(exchange->edge->deps.engine, &models);
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	jw_object(&w);
	jw_key(&w, "object");
	jw_text(&w, "list");
	jw_key(&w, "data");
	jw_array(&w);
	for (size_t i = 0; i < count; i++) {
		write_model(&w, &models[i]);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}

static const struct upstream_model *find_model(struct engine *engine, const char *name) {
	const struct upstream_model *models;
	size_t count = engine_models(engine, &models);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(models[i].name, name) == 0) {
			return &models[i];
		}
	}
	return NULL;
}

/* GET /v1/models/{id}: one of the list. libwebsockets has decoded the path, and many names have slashes. */
void api_model(struct exchange *exchange) {
	char name[REQUEST_MODEL_SIZE];
	str_copy_cut(name, sizeof name, exchange->match.captures[0]);
	const struct upstream_model *model = NULL;
	if (str_is(exchange->match.captures[0], name)) {
		model = find_model(exchange->edge->deps.engine, name);
	}
	if (!model) {
		struct api_error error;
		api_error_set(&error, API_MODEL_NOT_FOUND, "model", "The model '%s' does not exist.", name);
		reply_error(exchange, &error);
		return;
	}
	struct buf body = BUF_INIT;
	struct json_writer w = json_writer(&body);
	write_model(&w, model);
	reply_json(exchange, 200, &body);
	buf_free(&body);
}
