"""What a merchant asks for: payments, their customers, and how money completes them."""
