#include "base/list.h"
#include "base_test.h"

struct thing {
	int number;
	struct list node;
};

static void assert_numbers(const struct list *head, const char *expected) {
	char text[32] = "";
	size_t length = 0;
	const struct list *last = head;
	for (const struct list *node = head->next; node != head; last = node, node = node->next) {
		assert_ptr_equal(node->prev, last);
		text[length++] = (char)('0' + container_of(node, struct thing, node)->number);
	}
	assert_ptr_equal(head->prev, last);
	assert_string_equal(text, expected);
}

static void test_list(void **state) {
	(void)state;
	struct list head;
	struct thing things[5] = {{0}};
	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 5; i++) {
		things[i].number = i;
		assert_false(list_linked(&things[i].node));
		list_append(&head, &things[i].node);
		assert_true(list_linked(&things[i].node));
	}
	assert_numbers(&head, "01234");
	list_remove(&things[2].node);
	assert_false(list_linked(&things[2].node));
	list_remove(&things[2].node);
	assert_numbers(&head, "0134");
	list_append(&head, &things[2].node);
	assert_numbers(&head, "01342");
	list_each(node, after, &head) {
		if (container_of(node, struct thing, node)->number % 2 == 0) {
			list_remove(node);
		}
	}
	assert_numbers(&head, "13");
	list_remove(&things[1].node);
	list_remove(&things[3].node);
	assert_true(list_empty(&head));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
