#include "limiter.h"

#define MINUTE_US INT64_C(60000000)

static int64_t to_ms(int64_t us) {
	return (us + 999) / 1000;
}

static int refuse(struct api_error *error, const struct gcra_verdict *verdict, const char *what) {
	api_error_set(error, API_RATE_LIMITED, NULL, "Too many %s. Try again in %lld ms.", what,
		      (long long)to_ms(verdict->retry_after_us));
	error->retry_after_ms = to_ms(verdict->retry_after_us);
	return -1;
}

int limiter_take_request(struct gcra *bucket, const struct gcra_rate *rate, int64_t now_us,
			 struct api_limit_state *state, struct api_error *error) {
	if (rate->limit == 0) {
		return 0;
	}
	struct gcra_verdict verdict = gcra_take(bucket, rate, now_us, 1);
	struct api_limit_state now = {
		.known = true,
		.limit = rate->limit,
		.remaining = verdict.remaining,
		.reset_ms = to_ms(verdict.reset_us),
	};
	if (state) {
		*state = now;
	}
	if (verdict.allowed) {
		return 0;
	}
	refuse(error, &verdict, "requests");
	error->requests = now;
	return -1;
}

int limiter_take_bytes(struct gcra *bucket, const struct gcra_rate *rate, int64_t now_us, size_t bytes,
		       struct api_error *error) {
	if (rate->limit == 0) {
		return 0;
	}
	struct gcra_verdict verdict =
		gcra_take(bucket, rate, now_us, bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX);
	if (verdict.allowed) {
		return 0;
	}
	if (verdict.retry_after_us < 0) {
		return api_error_set(error, API_MESSAGE_TOO_LARGE, NULL,
				     "The message passes the byte limit of the connection.");
	}
	return refuse(error, &verdict, "bytes");
}

bool limiter_is_abuse(struct limiter *limiter, uint32_t most, int64_t now_us) {
	if (limiter->refusals == 0 || now_us - limiter->refusals_since_us >= MINUTE_US) {
		limiter->refusals_since_us = now_us;
		limiter->refusals = 0;
	}
	limiter->refusals++;
	return most > 0 && limiter->refusals > most;
}
