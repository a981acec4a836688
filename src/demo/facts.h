/* What the user said about himself in this conversation. Pure. */
#ifndef SLUICE_DEMO_FACTS_H
#define SLUICE_DEMO_FACTS_H

#include <stddef.h>

#include "base/str.h"

#define FACTS_MAX 64 /* later facts push nothing out: they are not learnt */

enum fact_kind {
	FACT_IS,    /* "my KEY is VALUE"; "I am called VALUE" has the key "name" */
	FACT_LIKES, /* "I like VALUE" */
	FACT_PLACE, /* "I live in VALUE" */
	FACT_NOTE,  /* "remember that VALUE" */
};

struct fact {
	enum fact_kind kind;
	struct str key; /* of FACT_IS, as the user wrote it */
	struct str value;
};

struct facts {
	struct fact list[FACTS_MAX];
	size_t count;
};

/* Learns from one message of the user; a newer fact of the same kind and key takes the older one's place. The views
 * point into `text`, which must outlive `facts`. Returns how many facts the message told. */
size_t facts_learn(struct facts *facts, struct str text);

/* The value of "my KEY", or STR_NONE. */
struct str facts_value(const struct facts *facts, const char *key);
struct str facts_value_str(const struct facts *facts, struct str key);
/* The first fact of a kind, or NULL. */
const struct fact *facts_first(const struct facts *facts, enum fact_kind kind);

#endif
