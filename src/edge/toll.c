#include "toll.h"

int64_t toll_take(struct toll *toll, int64_t held_us, int64_t now_us) {
	int64_t price = held_us > TOLL_LONG_US ? TOLL_LONG_PRICE : TOLL_SHORT_PRICE;
	int64_t most = now_us + TOLL_REST_MAX_US;
	int64_t paid_us = toll->paid_us > now_us ? toll->paid_us : now_us;
	paid_us = held_us < TOLL_REST_MAX_US / price ? paid_us + held_us * price : most;
	toll->paid_us = paid_us < most ? paid_us : most;
	int64_t owed_us = toll->paid_us - now_us;
	return owed_us > TOLL_CREDIT_US * TOLL_SHORT_PRICE ? owed_us : 0;
}
