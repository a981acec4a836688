#include "toll.h"

static int64_t least(int64_t a, int64_t b) {
	return a < b ? a : b;
}

int64_t toll_take(struct toll *toll, int64_t held_us, int64_t begun_us, int64_t now_us) {
	int64_t price = held_us > TOLL_LONG_US ? TOLL_LONG_PRICE : TOLL_SHORT_PRICE;
	int64_t paid_us = toll->paid_us > begun_us ? toll->paid_us : begun_us;
	paid_us += least(held_us, TOLL_DEBT_MAX_US / price) * price;
	toll->paid_us = least(paid_us, now_us + TOLL_DEBT_MAX_US);
	int64_t owed_us = toll->paid_us - now_us;
	return owed_us > TOLL_CREDIT_US * TOLL_SHORT_PRICE ? least(owed_us, TOLL_REST_MAX_US) : 0;
}
