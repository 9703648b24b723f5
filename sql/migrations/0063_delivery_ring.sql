-- What rings at phones of an account that ends (app.sends_end).
create index delivery_ring on app.delivery (account_id) where state = 'sending' and login_id is null;
