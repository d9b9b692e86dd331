"""What a user did: the action schema, and the cursor."""
