#include "facts.h"

#include <ctype.h>

#include "text.h"

#define KEY_WORDS_MAX 4

static bool same(const struct fact *a, const struct fact *b) {
	if (a->kind != b->kind) {
		return false;
	}
	switch (a->kind) {
	case FACT_IS:
		return str_equal_nocase(a->key, b->key);
	case FACT_PLACE:
		return true;
	default:
		return str_equal_nocase(a->value, b->value);
	}
}

static size_t learn(struct facts *facts, struct fact fact) {
	fact.value = text_trim(fact.value);
	if (fact.value.length == 0) {
		return 0;
	}
	for (size_t i = 0; i < facts->count; i++) {
		if (same(&facts->list[i], &fact)) {
			facts->list[i] = fact;
			return 1;
		}
	}
	if (facts->count == FACTS_MAX) {
		return 0;
	}
	facts->list[facts->count++] = fact;
	return 1;
}

/* Whether the whole of `text` is one word that starts with a capital: a name, as far as anyone can tell. */
static bool is_name(struct str text) {
	struct str rest = text_trim(text);
	struct str whole = rest;
	struct str word;
	return text_word(&rest, &word) && word.length == whole.length && isupper((unsigned char)word.data[0]);
}

static bool is_short(struct str key) {
	struct str word;
	size_t words = 0;
	while (text_word(&key, &word)) {
		words++;
	}
	return words > 0 && words <= KEY_WORDS_MAX;
}

/* "my KEY is VALUE", "my name's VALUE" */
static size_t learn_mine(struct facts *facts, struct str clause) {
	static const char *const names[] = {"my names", NULL};
	static const char *const mine[] = {"my", NULL};
	static const char *const called[] = {"called", "named", NULL};
	struct str value;
	if (text_after(clause, names, &value) == 0) {
		return learn(facts, (struct fact){FACT_IS, STR("name"), value});
	}
	struct str rest;
	size_t start;
	size_t end;
	if (text_after(clause, mine, &rest) != 0 ||
	    (text_find(rest, "is", &start, &end) != 0 && text_find(rest, "are", &start, &end) != 0)) {
		return 0;
	}
	struct str key = text_trim((struct str){rest.data, start});
	value = text_trim(str_skip(rest, end));
	struct str inner;
	if (text_after(value, called, &inner) == 0 && inner.data < value.data + sizeof "called") {
		value = inner;
	}
	return is_short(key) ? learn(facts, (struct fact){FACT_IS, key, value}) : 0;
}

static size_t learn_clause(struct facts *facts, struct str clause) {
	static const char *const called[] = {"call me", "i am called", "im called", NULL};
	static const char *const being[] = {"i am", "im", NULL};
	static const char *const liking[] = {"i like", "i love", "i enjoy", NULL};
	static const char *const living[] = {"i live in", "i am from", "im from", "i come from", NULL};
	struct str value;
	size_t learnt = learn_mine(facts, clause);
	if (text_after(clause, called, &value) == 0) {
		learnt += learn(facts, (struct fact){FACT_IS, STR("name"), value});
	} else if (text_after(clause, living, &value) == 0) {
		learnt += learn(facts, (struct fact){FACT_PLACE, STR_NONE, value});
	} else if (text_after(clause, being, &value) == 0 && is_name(value)) {
		learnt += learn(facts, (struct fact){FACT_IS, STR("name"), value});
	}
	if (text_after(clause, liking, &value) == 0) {
		learnt += learn(facts, (struct fact){FACT_LIKES, STR_NONE, value});
	}
	return learnt;
}

static size_t learn_sentence(struct facts *facts, struct str sentence) {
	static const char *const noting[] = {"remember that", "remember this", "remember", NULL};
	struct str note;
	size_t learnt = 0;
	if (text_after(sentence, noting, &note) == 0 && text_trim(note).length > 0) {
		learnt = learn(facts, (struct fact){FACT_NOTE, STR_NONE, note});
		sentence = note;
	}
	struct str clause;
	while (text_clause(&sentence, &clause)) {
		size_t more = learn_clause(facts, clause);
		learnt = learnt > 0 ? learnt : more;
	}
	return learnt;
}

size_t facts_learn(struct facts *facts, struct str text) {
	size_t learnt = 0;
	struct str sentence;
	while (text_sentence(&text, &sentence)) {
		struct str shown = str_trim(sentence);
		if (shown.length > 0 && shown.data[shown.length - 1] != '?') {
			learnt += learn_sentence(facts, sentence);
		}
	}
	return learnt;
}

struct str facts_value_str(const struct facts *facts, struct str key) {
	for (size_t i = 0; i < facts->count; i++) {
		if (facts->list[i].kind == FACT_IS && str_equal_nocase(facts->list[i].key, key)) {
			return facts->list[i].value;
		}
	}
	return STR_NONE;
}

struct str facts_value(const struct facts *facts, const char *key) {
	return facts_value_str(facts, str_of(key));
}

const struct fact *facts_first(const struct facts *facts, enum fact_kind kind) {
	for (size_t i = 0; i < facts->count; i++) {
		if (facts->list[i].kind == kind) {
			return &facts->list[i];
		}
	}
	return NULL;
}
